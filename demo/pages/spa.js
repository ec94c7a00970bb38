(function () {
	"use strict";
	const out = document.getElementById("answer"), ask = document.getElementById("ask");
	const load = async function () {
		try {
			const answer = await fetch("api/me.json");
			const body = await answer.json();
			out.textContent = JSON.stringify(body, null, 2);
			if (body.user) document.getElementById("hello").textContent = "Hello, " + body.user;
		} catch {
			out.textContent = "The API does not answer.";
		}
	};
	ask.addEventListener("click", function (e) { e.preventDefault(); load(); });
	load();
})();
