// The page that stands alone: its models lie beside it and compute in the browser.

import { Local } from "./local.js";
import { start } from "./page.js";

const names = await fetch("page/models.json").then((response) => response.json());
document.getElementById("note").textContent = "Texts stay in this browser: nothing is sent.";
start(() => Promise.all(names.map(({ name, folder }) => new Local(name, folder).open())), () => {});
