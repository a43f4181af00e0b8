/** The page behind a magic link: the dialog on a page of its own. Its public token goes nowhere, as at Merge. */
"use strict";

const state = document.getElementById("state");
window.MergeLink.initialize({
  linkToken: location.pathname.split("/").pop(),
  onReady: () => window.MergeLink.openLink(),
  onSuccess: () => { state.textContent = "Your system is connected."; },
  onExit: () => { state.textContent += " You can close this page."; },
});
state.textContent = "";
