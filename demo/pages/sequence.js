(function () {
	"use strict";
	const rows = document.getElementById("rows"), live = document.getElementById("live");
	const soonest = 1000, latest = 5000;
	let etag = rows.dataset.etag, pause = soonest, timer;
	const opened = function () { return Array.from(rows.querySelectorAll("details[open]"), function (d) { return d.id; }); };
	const ask = async function () {
		clearTimeout(timer);
		if (document.hidden) return;
		try {
			const answer = await fetch(location.pathname + "?part=rows", { headers: { "If-None-Match": etag } });
			pause = Math.min(latest, pause * 1.2);
			if (answer.status === 200) {
				const open = opened(), held = document.activeElement.closest("details");
				etag = answer.headers.get("Etag");
				rows.innerHTML = await answer.text();
				open.forEach(function (id) { const d = document.getElementById(id); if (d) d.open = true; });
				const back = held && document.getElementById(held.id);
				if (back) back.querySelector("summary").focus({ preventScroll: true });
				pause = soonest;
			}
			live.textContent = "This page follows by itself.";
		} catch {
			live.textContent = "The demo does not answer. This page keeps trying.";
			pause = latest;
		}
		timer = setTimeout(ask, pause);
	};
	document.getElementById("again").hidden = true;
	document.addEventListener("visibilitychange", function () { pause = soonest; ask(); });
	addEventListener("focus", function () { pause = soonest; ask(); });
	ask();
})();
