// The page works without this: it adds the theme, the swipe line, enlarged pictures, and cues of tables that scroll.
(() => {
  const all = (selector, from = document) => [...from.querySelectorAll(selector)], byId = (id) => document.getElementById(id);
  const root = document.documentElement, prefersDark = matchMedia("(prefers-color-scheme: dark)");

  const theme = byId("theme"), isDark = () => (root.dataset.theme || (prefersDark.matches ? "dark" : "light")) === "dark";
  const nameTheme = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; nameTheme(); });
  prefersDark.addEventListener("change", nameTheme);
  theme.hidden = false; nameTheme();

  const folds = all("details"), opener = byId("all");
  const nameOpener = () => { opener.textContent = folds.every((one) => one.open) ? "Close all" : "Open all"; };
  opener.hidden = !folds.length;
  opener.addEventListener("click", () => { const open = !folds.every((one) => one.open); folds.forEach((one) => { one.open = open; }); });
  folds.forEach((one) => one.addEventListener("toggle", nameOpener));
  const reveal = () => {
    const target = location.hash.length > 1 && byId(decodeURIComponent(location.hash.slice(1))), fold = target && target.closest("details");
    if (fold && !fold.open) { fold.open = true; target.scrollIntoView(); }
  };
  addEventListener("hashchange", reveal); reveal();
  let folded = [];
  addEventListener("beforeprint", () => { folded = folds.filter((one) => !one.open); folded.forEach((one) => { one.open = true; }); });
  addEventListener("afterprint", () => folded.forEach((one) => { one.open = false; }));

  // A part that scrolls sideways says so, and on which side there is more.
  const cued = (part) => {
    const beyond = part.scrollWidth - part.clientWidth, cue = part.previousElementSibling;
    const sides = [beyond > 2 && part.scrollLeft < beyond - 2 && "right", beyond > 2 && part.scrollLeft > 2 && "left"];
    part.dataset.more = sides.filter(Boolean).join(" ");
    cue.hidden = beyond <= 2;
    cue.textContent = part.dataset.more.includes("right") ? "more to the right \u2192" : "\u2190 more to the left";
  };
  const watcher = new ResizeObserver((entries) => entries.forEach((one) => cued(one.target.closest(".scroll"))));
  all(".scroll").forEach((part) => {
    const cue = document.createElement("p");
    cue.className = "cue"; cue.setAttribute("aria-hidden", "true"); cue.hidden = true;
    part.before(cue);
    part.addEventListener("scroll", () => cued(part), { passive: true });
    watcher.observe(part);
    if (part.firstElementChild) watcher.observe(part.firstElementChild);
  });

  const swipe = byId("swipe");
  if (swipe) {
    const stage = swipe.querySelector(".stage"), figures = all(":scope > figure", swipe.parentElement);
    const frames = figures.map((one) => one.querySelector(".frame"));
    stage.style.setProperty("--r", frames[0].style.getPropertyValue("--r"));
    all("select", swipe).forEach((select, which) => {
      const shown = all(":scope > div", stage)[which];
      figures.forEach((one, index) => select.add(new Option(one.querySelector("figcaption").textContent, index)));
      const show = () => {
        const picture = frames[select.value].querySelector("img:not(.under)").cloneNode();
        if (frames[select.value].classList.contains("map")) picture.classList.add("map");
        shown.replaceChildren(picture);
      };
      select.value = which ? figures.length - 1 : figures.length > 3 ? 2 : 0;
      select.addEventListener("change", show);
      show();
    });
    const range = stage.querySelector("input");
    range.addEventListener("input", () => stage.style.setProperty("--at", range.value + "%"));
    const scale = frames[0].querySelector(".scale");
    if (scale) stage.append(scale.cloneNode(true));
    swipe.hidden = false;
  }

  const dialog = document.createElement("dialog");
  if (!dialog.showModal) return;
  dialog.addEventListener("click", () => dialog.close());
  document.body.append(dialog);
  all("figure:not(.locator) .frame").forEach((frame) => {
    const button = document.createElement("button"), picture = frame.querySelector("img:not(.under)");
    button.type = "button"; button.className = "zoom"; button.setAttribute("aria-label", "Enlarge: " + picture.alt);
    button.addEventListener("click", () => {
      const large = frame.cloneNode(true), text = document.createElement("p"), shut = document.createElement("button");
      large.querySelector(".zoom").remove();
      shut.type = "button"; shut.className = "zoom"; shut.setAttribute("aria-label", "Close"); shut.style.cursor = "zoom-out";
      large.append(shut);
      text.textContent = picture.alt;
      dialog.setAttribute("aria-label", picture.alt);
      dialog.replaceChildren(large, text); dialog.showModal();
    });
    frame.append(button);
  });
})();
