// Asks, an interval after each answer, whether the person has answered on the other device. One
// question at a time, and the countdown is nothing that a screen reader reads out. No syntax that the
// browser of a ten years old TV does not know: without script it would reload the page, with a script
// that it cannot read it would do nothing.
(function () {
	"use strict";
	const at = function (id) { return document.getElementById(id); };
	const wait = at("wait"), state = at("state"), left = at("left"), said = at("said"), copy = at("copy"), told = wait.dataset;
	let end = Date.now() + told.life * 1000, interval = +told.interval, heard = Date.now();
	let timer, failures = 0, turn = 0, asked = 0, over = false;
	const say = function (words) { if (state.textContent !== words) state.textContent = words; };
	const go = function (to) { over = true; clearTimeout(timer); location.replace(to); };
	const own = function (to) { return typeof to === "string" && to[0] === "/" && new URL(to, location.href).origin === location.origin; };
	// A question that waits for a minute is given up, its answer is still welcome.
	const again = function (seconds) { clearTimeout(timer); timer = setTimeout(ask, seconds * 1000); };
	function unheard(words, retry) {
		heard = Date.now(); asked = 0; failures++;
		say(words);
		again(Math.max(interval, retry, Math.min(60, interval * Math.pow(2, failures))));
	}
	function ask() {
		if (over) return;
		const mine = ++turn;
		asked = Date.now();
		timer = setTimeout(function () { if (mine === turn) unheard(told.away, 0); }, 60000);
		fetch(told.poll, {headers: {Accept: "application/json"}, cache: "no-store", credentials: "same-origin", redirect: "error"}).then(function (answer) {
			const retry = Math.min(300, +answer.headers.get("Retry-After") || 0);
			if (answer.status === 429) return {status: "pending", retry: retry};
			if (answer.status >= 500) return {retry: retry};
			return answer.ok ? answer.json() : {status: "gone"};
		}).then(function (answer) {
			answer = answer || {};
			if (over) return;
			if (answer.status && answer.status !== "pending") return go(answer.status === "approved" && own(answer.location) ? answer.location : told.reload);
			if (mine !== turn) return;
			if (!answer.status) return unheard(told.away, answer.retry || 0);
			heard = Date.now(); asked = 0; failures = 0;
			if (answer.interval > 0) interval = Math.min(300, answer.interval);
			if (answer.expires_in > 0) end = Math.min(end, heard + answer.expires_in * 1000);
			if (!answer.retry) say(answer.trouble ? told.trouble : told.waiting);
			again(Math.max(interval, answer.retry || 0));
		}, function () { if (!over && mine === turn) unheard(told.away, 0); });
	}
	// Whoever comes back from the app on the same phone is signed in at once: hidden pages are slowed down, and what
	// they asked is often lost.
	const back = function () {
		if (over || document.hidden) return;
		const now = Date.now();
		if (asked && now - asked < 10000) return;
		again(Math.max(0, asked ? 0 : (heard - now) / 1000 + interval));
	};
	const tick = function () {
		const seconds = Math.max(0, Math.ceil((end - Date.now()) / 1000)), rest = seconds % 60;
		left.textContent = Math.floor(seconds / 60) + (rest < 10 ? ":0" : ":") + rest;
		if (seconds === 60) said.textContent = told.soon;
	};
	if (left) { tick(); setInterval(tick, 1000); }
	document.addEventListener("visibilitychange", back);
	addEventListener("pageshow", function (e) { if (e.persisted) { over = false; back(); } });
	addEventListener("online", back);
	again(interval);
	if (!copy || !navigator.clipboard) return;
	const label = copy.textContent;
	copy.hidden = false;
	copy.addEventListener("click", function () {
		navigator.clipboard.writeText(copy.dataset.code).then(function () {
			copy.textContent = "Copied"; said.textContent = "The code is copied.";
			setTimeout(function () { copy.textContent = label; said.textContent = ""; }, 4000);
		}, function () { getSelection().selectAllChildren(at("code")); });
	});
})();
