// The page is painted first; then what can be explored is made.
function start() {
  const root = document.getElementById("explore");
  const scene = JSON.parse(document.getElementById("scene").textContent);
  const charts = scene.curves.map(chartOf).filter(Boolean);
  root.querySelector(".charts").append(...charts);
  root.hidden = false;
  if (scene.stages.length) {
    try {
      const viewer = new Viewer(root.querySelector("canvas"), root.querySelector(".overlay"), bytesOf(scene.colours));
      root.querySelector(".stage").hidden = false;
      window.scorefold = { viewer, panel: new ControlPanel(root, scene, viewer) };
    } catch (error) {
      root.querySelector(".stage").hidden = true;
      root.querySelector(".missing").hidden = false;
      console.warn(String(error));
    }
  }
  document.documentElement.dataset.ready = "yes";
}

requestAnimationFrame(() => setTimeout(start, 0));
