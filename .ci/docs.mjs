// Writes the tables of fields in docs/api.md from the jobs' schemas; --check only says whether they
// are what the schemas say. --compiled names a folder of compiled code other than dist/.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import prettier from 'prettier';

const FILE = 'docs/api.md';
/** `<!-- fields: speechInput -->`, or with a family: `<!-- fields: speechInput F5-TTS -->`. */
const TABLE = /(<!-- fields: (\w+)(?: ([^>]+?))? -->\n)[^]*?(<!-- end of fields -->)/g;

const { values } = parseArgs({
  options: {
    check: { type: 'boolean', default: false },
    compiled: { type: 'string', default: 'dist' },
  },
});
const schemas = await import(
  pathToFileURL(resolve(join(values.compiled, 'src/jobs/schema.js'))).href
);

const before = readFileSync(FILE, 'utf8');
const tables = before.replace(TABLE, (_all, begin, name, family, end) => {
  const table = name.endsWith('Output')
    ? outputTable(schemas[name])
    : inputTable(schemas[name], family);
  return `${begin}\n${table}\n\n${end}`;
});
const after = await prettier.format(tables, {
  ...(await prettier.resolveConfig(FILE)),
  filepath: FILE,
});
if (after !== before && values.check) {
  console.error(`${FILE} is not what the schemas say: run \`npm run docs\`.`);
  process.exit(1);
}
if (after !== before) writeFileSync(FILE, after);

/** The fields that every model has, or those of one family alone. */
function inputTable({ properties, required = [] }, family) {
  const own = Object.entries(properties).filter(([, field]) => field['x-family'] === family);
  const rows = inputRows(own, required, '');
  return table(['field', 'type', 'default', 'limits', 'meaning'], rows);
}

function inputRows(fields, required, prefix) {
  return fields.flatMap(([name, field]) => {
    const path = `${prefix}${name}`;
    const within = alternatives(field).find(({ properties }) => properties !== undefined);
    const items = alternatives(field).find((one) => one.items?.properties !== undefined)?.items;
    const preset = field['x-model-default'] ?? field.default ?? null;
    return [
      [
        code(path),
        typeOf(field),
        required.includes(name) ? 'required' : json(preset),
        limitsOf(field),
        field.description,
      ],
      ...inputRows(Object.entries(within?.properties ?? {}), within?.required ?? [], `${path}.`),
      ...inputRows(Object.entries(items?.properties ?? {}), items?.required ?? [], `${path}[].`),
    ];
  });
}

function outputTable({ properties, required = [] }, prefix = '') {
  return table(['field', 'type', 'meaning'], outputRows(properties, required, prefix));
}

function outputRows(properties, required, prefix) {
  return Object.entries(properties).flatMap(([name, field]) => {
    const path = `${prefix}${name}`;
    const items = field.items?.properties;
    const type = typeOf(field) + (required.includes(name) ? '' : ', or absent');
    return [
      [code(path), type, field.description],
      ...(items === undefined ? [] : outputRows(items, field.items.required ?? [], `${path}[].`)),
    ];
  });
}

function table(head, rows) {
  return [head, head.map(() => '---'), ...rows]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n');
}

/** The schemas of a field's values other than null. */
function alternatives(field) {
  if (field.anyOf !== undefined) return field.anyOf.flatMap(alternatives);
  return field.type === 'null' ? [] : [field];
}

function typeOf(field) {
  const names = alternatives(field).flatMap(({ type, items }) =>
    [type].flat().map((name) => (name === 'array' ? `array of ${typeOf(items)}s` : name)),
  );
  const isNullable = field.anyOf?.some(({ type }) => type === 'null');
  return [...new Set([...names, ...(isNullable ? ['null'] : [])])].join(' or ');
}

function limitsOf(field) {
  return alternatives(field).map(limitsOfOne).filter(Boolean).join('; ');
}

function limitsOfOne(schema) {
  const { maxLength, minLength, pattern, minItems, maxItems } = schema;
  const [least, most] = bounds(schema);
  return [
    schema.enum?.map(json).join(', '),
    least !== undefined && most !== undefined ? `${least} to ${most}` : (least ?? most),
    maxItems === undefined ? undefined : `${minItems ?? 0} to ${maxItems} of them`,
    maxLength === undefined ? undefined : `${minLength ?? 0} to ${maxLength} characters`,
    pattern === undefined ? undefined : code(pattern),
  ]
    .filter(Boolean)
    .join('; ');
}

/** What integers are limited to anyway is no limit of ours. */
function bounds({ minimum, exclusiveMinimum, maximum }) {
  if (minimum === Number.MIN_SAFE_INTEGER) return [];
  const least = exclusiveMinimum === undefined ? minimum : `above ${exclusiveMinimum}`;
  return [least, maximum === Number.MAX_SAFE_INTEGER ? '2^53 - 1' : maximum];
}

function json(value) {
  return code(JSON.stringify(value));
}

function code(text) {
  return `\`${text}\``;
}
