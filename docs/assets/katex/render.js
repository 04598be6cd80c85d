// Renders what the Markdown extension arithmatex has marked, on each page as it is shown.
document$.subscribe(() => {
  for (const node of document.querySelectorAll(".arithmatex")) {
    const source = node.textContent.trim();
    const displayed = source.startsWith("\\[");
    katex.render(source.slice(2, -2), node, { displayMode: displayed, throwOnError: false });
  }
});
