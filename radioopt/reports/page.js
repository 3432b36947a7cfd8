"use strict";
// a click on a heading sorts by its column, another one turns it round; cells without a value come last
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, at) => {
    head.firstElementChild.addEventListener("click", () => {
      const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      const sign = order === "ascending" ? 1 : -1;
      const numeric = head.classList.contains("number");
      const key = (row) => row.cells[at].dataset.key ?? row.cells[at].textContent;
      const value = (text) => (/^-?inf$/.test(text) ? (text[0] === "-" ? -Infinity : Infinity) : Number(text));
      const keyed = [...table.tBodies[0].rows].map((row) => [key(row), row]);
      keyed.sort(([a], [b]) => {
        if (a === "" || b === "") return (a === "") - (b === "");
        if (!numeric) return sign * a.localeCompare(b, "en", { numeric: true });
        const [x, y] = [value(a), value(b)];
        return x === y ? 0 : sign * (x < y ? -1 : 1);
      });
      table.tBodies[0].append(...keyed.map(([, row]) => row));
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
    });
  });
}
// light and dark are the system's, until the switch is used
const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");
const button = document.getElementById("switch");
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
const named = () => { button.textContent = isDark() ? "light" : "dark"; };
button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; named(); });
dark.addEventListener("change", named);
button.hidden = false;
named();
