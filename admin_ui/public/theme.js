// Sets the colour scheme before the first paint. Same key as Mantine's local storage manager.
(function () {
  var chosen = null;
  try {
    chosen = window.localStorage.getItem("roundhouse.theme");
  } catch (_) {
    // Storage is switched off: follow the system.
  }
  var dark =
    chosen === "dark" || (chosen !== "light" && window.matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.setAttribute("data-mantine-color-scheme", dark ? "dark" : "light");
})();
