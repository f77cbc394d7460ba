// Shows /openapi.json readably. Text only through textContent: nothing in the description can become markup.
"use strict";

const METHODS = ["get", "post", "put", "delete"];

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function schemaName(reference) {
  return reference.split("/").pop();
}

// Returns nodes: a word for the type, with a link for each named body.
function typeNodes(schema) {
  if (schema.$ref) {
    const name = schemaName(schema.$ref);
    return [element("a", name, { href: `#schema-${name}` })];
  }
  if (schema.anyOf) {
    return schema.anyOf.flatMap((option, at) => (at ? [document.createTextNode(" or "), ...typeNodes(option)] : typeNodes(option)));
  }
  if (schema.type === "array") return [document.createTextNode("list of "), ...typeNodes(schema.items ?? {})];
  if (schema.enum) return [element("code", schema.enum.join(" | "))];
  if (schema.const !== undefined) return [element("code", String(schema.const))];
  return [document.createTextNode(schema.format ?? schema.type ?? "anything")];
}

function bounds(schema) {
  const words = [];
  if (schema.format === "base64url") {
    const bytes = (characters) => Math.floor((characters * 3) / 4);
    const [low, high] = [bytes(schema.minLength), bytes(schema.maxLength)];
    words.push(low === high ? `${low} bytes` : `${low} to ${high} bytes`);
  } else {
    if (schema.minimum !== undefined || schema.maximum !== undefined) words.push(`${schema.minimum ?? "…"} to ${schema.maximum ?? "…"}`);
    if (schema.maxItems !== undefined) words.push(`${schema.minItems ?? 0} to ${schema.maxItems} items`);
    if (schema.pattern) words.push(schema.pattern);
  }
  if (schema.description) words.push(schema.description);
  return words.join("; ");
}

function table(headings, rows) {
  const made = element("table");
  const head = element("tr");
  for (const heading of headings) head.append(element("th", heading, { scope: "col" }));
  made.append(element("thead"), element("tbody"));
  made.tHead.append(head);
  for (const cells of rows) {
    const row = element("tr");
    for (const nodes of cells) {
      const cell = element("td");
      cell.append(...nodes);
      row.append(cell);
    }
    made.tBodies[0].append(row);
  }
  const frame = element("div", "", { class: "table", tabindex: "0", role: "group", "aria-label": headings.join(", ") });
  frame.append(made);
  return frame;
}

function bodySchema(content) {
  return content?.["application/json"]?.schema ?? content?.["text/plain"]?.schema;
}

function callArticle(path, method, operation) {
  const article = element("article", "", { id: operation.operationId });
  const title = element("h3");
  title.append(element("span", method.toUpperCase(), { class: "verb" }), document.createTextNode(" "), element("code", path));
  article.append(title, element("p", operation.description ?? operation.summary));
  article.append(element("p", operation.security ? "Signed by the account's management key or a device's login key." : "Without signature.", { class: "quiet" }));
  const request = bodySchema(operation.requestBody?.content);
  if (request) {
    const line = element("p", "Takes ");
    line.append(...typeNodes(request));
    article.append(line);
  }
  const rows = Object.entries(operation.responses).map(([status, response]) => {
    const schema = bodySchema(response.content);
    return [[element("code", status)], schema ? typeNodes(schema) : [], [document.createTextNode(response.description)]];
  });
  article.append(element("h4", "Answers"), table(["Status", "Body", "Meaning"], rows));
  return article;
}

function schemaArticle(name, schema) {
  const article = element("article", "", { id: `schema-${name}` });
  article.append(element("h3", name));
  if (schema.description) article.append(element("p", schema.description));
  const required = new Set(schema.required ?? []);
  const rows = Object.entries(schema.properties ?? {}).map(([field, type]) => [
    [element("code", field)],
    typeNodes(type),
    [document.createTextNode([required.has(field) ? "" : "optional", bounds(type)].filter(Boolean).join("; "))],
  ]);
  if (rows.length) article.append(table(["Field", "Type", "Bounds"], rows));
  return article;
}

function show(description) {
  document.getElementById("title").textContent = `${description.info.title} ${description.info.version}`;
  document.getElementById("description").textContent = description.info.description ?? "";
  const list = element("ul");
  const calls = document.getElementById("calls");
  calls.append(element("h2", "Calls"));
  const isPage = ([path]) => !path.startsWith("/v1/");
  const paths = Object.entries(description.paths);
  for (const [path, operations] of [...paths.filter((entry) => !isPage(entry)), ...paths.filter(isPage)]) {
    for (const method of METHODS.filter((name) => operations[name])) {
      const operation = operations[method];
      const item = element("li");
      const link = element("a", "", { href: `#${operation.operationId}` });
      link.append(element("code", `${method.toUpperCase()} ${path}`));
      item.append(link);
      list.append(item);
      calls.append(callArticle(path, method, operation));
    }
  }
  document.getElementById("contents").append(list);
  const schemas = document.getElementById("schemas");
  schemas.append(element("h2", "Bodies"));
  for (const [name, schema] of Object.entries(description.components?.schemas ?? {})) schemas.append(schemaArticle(name, schema));
}

async function main() {
  const state = document.getElementById("state");
  try {
    const response = await fetch("/openapi.json");
    if (!response.ok) throw new Error(`status ${response.status}`);
    show(await response.json());
    state.remove();
  } catch (error) {
    state.textContent = `The description could not be loaded (${error.message}). Reload the page to try again.`;
  }
}

main();
