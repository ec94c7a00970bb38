// The fragment leaves the address first: whatever happens then, no history keeps a token.
(function () {
	"use strict";
	const fragment = location.hash.slice(1), sent = history.state === "sent";
	history.replaceState("sent", "", location.pathname + location.search);
	const form = document.getElementById("relay"), fields = document.createDocumentFragment(), names = ["relay"], inputs = [];
	if (sent && !fragment) {
		document.getElementById("over").hidden = false;
		return;
	}
	document.getElementById("now").hidden = false;
	let good = fragment.length <= 65536;
	if (good) new URLSearchParams(fragment).forEach(function (value, name) {
		good = good && names.length <= 30 && names.indexOf(name) < 0;
		if (!good) return;
		names.push(name);
		const input = document.createElement("input");
		input.type = "hidden"; input.name = name; input.value = value;
		inputs.push(input);
		fields.appendChild(input);
	});
	if (good) form.appendChild(fields);
	HTMLFormElement.prototype.submit.call(form);
	inputs.forEach(function (input) { input.remove(); });
})();
