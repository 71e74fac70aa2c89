// The page as a server gives it: its models are behind the address that the page came from.

import { start } from "./page.js";
import { Server } from "./server.js";

let key = "";

async function open() {
  const first = await new Server("", () => key).open();
  const others = first.info.beside.map((path) => new Server(`${path}/`, () => key).open());
  return [first, ...(await Promise.all(others))];
}

const link = document.createElement("a");
link.href = "docs";
link.textContent = "For programs";
document.getElementById("note").replaceChildren(link, ". Texts are sent to this server alone.");
start(open, (given) => { key = given; });
