(function () {
	"use strict";
	if (!navigator.clipboard) return;
	document.querySelectorAll("pre[data-copy]").forEach(function (line) {
		const button = document.createElement("button");
		button.type = "button";
		button.className = "copy";
		button.textContent = "Copy";
		button.addEventListener("click", function () {
			navigator.clipboard.writeText(line.querySelector("code").textContent).then(function () {
				button.textContent = "Copied";
				setTimeout(function () { button.textContent = "Copy"; }, 3000);
			}, function () {});
		});
		line.before(button);
	});
})();
