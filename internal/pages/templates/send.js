// Posts the form by itself, but once: whoever comes back by the back button is not sent on again.
(function () {
	"use strict";
	const form = document.getElementById("send"), button = form.querySelector("button");
	const ready = function () { button.disabled = false; };
	form.addEventListener("submit", function () {
		setTimeout(function () { button.disabled = true; }, 0);
		setTimeout(ready, 10000);
	});
	addEventListener("pageshow", ready);
	if (!("auto" in form.dataset) || history.state === "sent") return;
	history.replaceState("sent", "");
	HTMLFormElement.prototype.submit.call(form);
})();
