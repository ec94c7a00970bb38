// Without a clipboard there is no button: a click on the token selects it as a whole.
(function () {
	"use strict";
	const button = document.getElementById("copy"), said = document.getElementById("said");
	if (!navigator.clipboard) return;
	button.hidden = false;
	button.addEventListener("click", function () {
		navigator.clipboard.writeText(document.getElementById("token").textContent).then(function () {
			button.textContent = "Copied";
			said.textContent = "The token is copied.";
		}, function () {
			said.textContent = "It could not be copied. Select it and copy it by hand.";
		});
	});
})();
