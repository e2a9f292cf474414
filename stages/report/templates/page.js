// Sorts the leaderboard by the column whose button was pressed; a second press turns the order round.
for (const button of document.querySelectorAll("th[data-kind] button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const table = head.closest("table");
    const column = [...head.parentElement.children].indexOf(head);
    const first = head.dataset.first;
    const other = first === "ascending" ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === first ? other : first;
    for (const cell of head.parentElement.children) cell.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const key = (row) => row.children[column].dataset.value ?? row.children[column].textContent.trim();
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      return sign * (head.dataset.kind === "number" ? Number(x) - Number(y) : x.localeCompare(y));
    };
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort(compare));
    const status = document.getElementById("sorted");
    if (status) status.textContent = `Sorted by ${button.textContent.trim()}, ${order}.`;
  });
}

// A link to a panel opens it: browsers open what holds the target, and not the target itself.
const reveal = (hash) => {
  const target = document.getElementById(hash.slice(1));
  if (target?.tagName === "DETAILS") target.open = true;
};
addEventListener("hashchange", () => reveal(location.hash));
addEventListener("click", (event) => reveal(event.target.closest("a")?.hash ?? ""));
reveal(location.hash);

// On paper nothing can be opened: all is open while it prints, and as before afterwards.
const paper = matchMedia("print");
let shut = [];
paper.addEventListener("change", () => {
  if (paper.matches) shut = [...document.querySelectorAll("details:not([open])")];
  for (const panel of shut) panel.open = paper.matches;
  if (!paper.matches) shut = [];
});
