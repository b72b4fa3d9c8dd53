/** The interface for programs, drawn from what the server says of itself in `/openapi.json`. */

const METHODS = ["get", "post", "put", "patch", "delete"];

const make = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};
const element = (id) => document.getElementById(id);

/** Markdown as our own texts use it: paragraphs, indented code, **bold** and `code`. */
function prose(text) {
  const parts = text.split(/\n{2,}/).map((part) => {
    if (/^ {4}/.test(part)) return make("pre", { textContent: part.replace(/^ {4}/gm, "") });
    const spans = part.split(/(\*\*[^*]+\*\*|`[^`]+`)/).map((span) => {
      if (span.startsWith("**")) return make("b", { textContent: span.slice(2, -2) });
      return span.startsWith("`") ? make("code", { textContent: span.slice(1, -1) }) : span;
    });
    return make("p", {}, ...spans);
  });
  return make("div", { className: "prose" }, ...parts);
}

/** What a value looks like, as text: `{id: string, points: {<name>: [number, number]}}` over several lines. */
function shape(schema = {}, schemas, margin = "") {
  const inner = (part) => shape(part, schemas, `${margin}  `);
  if (schema.$ref) return shape(schemas[schema.$ref.split("/").pop()], schemas, margin);
  if (schema.anyOf) return schema.anyOf.map((one) => shape(one, schemas, margin)).join(" or ");
  if (schema.prefixItems) return `[${schema.prefixItems.map(inner).join(", ")}]`;
  if (schema.type === "array") return `[${shape(schema.items, schemas, margin)}, …]`;
  if (schema.properties) {
    const fields = Object.entries(schema.properties).map(([name, part]) => `${margin}  ${name}: ${inner(part)}`);
    return `{\n${fields.join("\n")}\n${margin}}`;
  }
  if (schema.additionalProperties) return `{<name>: ${inner(schema.additionalProperties)}, …}`;
  const { minimum: low, maximum: high, default: usual } = schema;
  const bounds = low !== undefined && high !== undefined ? ` ${low} to ${high}` : "";
  return `${schema.type ?? "any JSON"}${bounds}${usual === undefined ? "" : ` = ${JSON.stringify(usual)}`}`;
}

function table(title, rows) {
  const lines = rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, cell))));
  return rows.length ? [make("h3", { textContent: title }), make("table", {}, make("tbody", {}, ...lines))] : [];
}

/** What is sent or comes back: its media types, and how JSON looks. */
function content(types = {}, schemas) {
  return Object.entries(types).map(([type, { schema }]) => {
    const text = type === "application/json" ? `${type}\n${shape(schema, schemas)}` : type;
    return make("pre", { textContent: text });
  });
}

/** A line for the shell that makes the request. */
function curl(method, path, { parameters = [], requestBody }, base) {
  const wanted = parameters.filter((one) => one.in === "query").map(({ name }) => `${name}=…`).join("&");
  const type = Object.keys(requestBody?.content ?? {})[0];
  const body = type === "application/json" ? ` -d '{…}'` : ` --data-binary @FILE`;
  const verb = method === "get" ? "" : `-X ${method.toUpperCase()} `;
  return `curl ${verb}'${base}${path}${wanted && `?${wanted}`}'${type ? ` -H 'Content-Type: ${type}'${body}` : ""}`;
}

function operation(method, path, said, schemas) {
  const { parameters = [], requestBody, responses, summary, description } = said;
  const body = content(requestBody?.content, schemas);
  const refusal = JSON.stringify(responses.default?.content); // is shown once
  const statuses = Object.entries(responses).map(([status, answer]) => {
    const known = status !== "default" && JSON.stringify(answer.content) === refusal;
    const told = known ? [] : content(answer.content, schemas);
    return [status === "default" ? "otherwise" : status, make("div", {}, answer.description, ...told)];
  });
  return make(
    "details",
    { className: "operation", id: said.operationId },
    make("summary", {}, make("span", { className: `method ${method}`, textContent: method.toUpperCase() }),
      make("code", { textContent: path }), make("span", { className: "hint", textContent: summary })),
    make("div", { className: "body" },
      ...(description ? [prose(description)] : []),
      ...table("Parameters", parameters.map((one) => [
        make("code", { textContent: one.name }),
        [one.in, shape(one.schema, schemas), one.required ? "needed" : "", one.description ?? ""].filter(Boolean).join(", "),
      ])),
      ...(body.length ? [make("h3", { textContent: "Body" }), ...body] : []),
      ...table("Answers", statuses),
      make("h3", { textContent: "From a shell" }),
      make("pre", { textContent: curl(method, path, said, location.origin) })),
  );
}

/** One part of the interface: its requests, then what is said of it. */
function section({ name, description }, operations) {
  const id = name.toLowerCase().replaceAll(" ", "-");
  element("contents").append(make("a", { className: "group", href: `#${id}`, textContent: name }));
  for (const { id: place, firstChild } of operations) {
    const [method, path] = [...firstChild.children].map((part) => part.textContent);
    element("contents").append(make("a", { href: `#${place}`, textContent: `${method} ${path}` }));
  }
  return make("section", { id }, make("h2", { textContent: name }), ...operations, ...(description ? [prose(description)] : []));
}

/** Who follows a link to a request sees all of it. */
function unfold() {
  const wanted = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (wanted?.matches("details")) wanted.open = true;
  wanted?.scrollIntoView();
}

try {
  const { info, paths, components, tags } = await (await fetch("/openapi.json")).json();
  element("about").textContent = `${info.description} Version ${info.version}.`;
  const all = Object.entries(paths).flatMap(([path, methods]) =>
    METHODS.filter((method) => method in methods).map((method) => ({
      tag: methods[method].tags?.[0],
      drawn: operation(method, path, methods[method], components.schemas),
    })),
  );
  for (const tag of tags) {
    const own = all.filter((one) => one.tag === tag.name).map(({ drawn }) => drawn);
    element("interface").append(section(tag, own));
  }
  addEventListener("hashchange", unfold);
  unfold();
} catch {
  element("about").textContent = "The server does not answer. Reload the page to try again.";
}
