/**
 * Where the values of a JSON text lie, found by its bytes: parsing 50,000 members into an object takes
 * ten times as long as walking over them. What is skipped is not checked beyond its quotes and brackets.
 */
const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;

function malformed(bytes: Uint8Array, at: number, wanted: string): SyntaxError {
  const what = at < bytes.length ? `at byte ${at}` : 'where the text ends';
  return new SyntaxError(`Expected ${wanted} ${what}`);
}

/** The first byte from `at` on that is no white space. */
export function skipSpace(bytes: Uint8Array, at: number): number {
  let end = at;
  for (let byte = bytes[end]; byte === 0x20 || (byte !== undefined && byte >= 9 && byte <= 13);) {
    byte = bytes[++end];
  }
  return end;
}

/**
 * Behind the string that begins at `at`.
 * @throws SyntaxError
 */
export function skipString(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== quote) throw malformed(bytes, at, 'a string');
  for (let end = at + 1; end < bytes.length; end++) {
    const byte = bytes[end];
    if (byte === quote) return end + 1;
    if (byte === backslash) end++;
  }
  throw malformed(bytes, bytes.length, 'a closing quote');
}

/**
 * Behind the value that begins at `at`.
 * @throws SyntaxError
 */
export function skipValue(bytes: Uint8Array, at: number): number {
  let depth = 0;
  let end = at;
  do {
    const byte = bytes[end];
    if (byte === quote) {
      end = skipString(bytes, end);
      continue;
    }
    if (byte === openBrace || byte === openBracket) depth++;
    else if (depth === 0) return skipScalar(bytes, end);
    else if (byte === closeBrace || byte === closeBracket) depth--;
    end++;
  } while (depth > 0 && end < bytes.length);
  if (depth === 0) return end;
  throw malformed(bytes, bytes.length, 'the end of a value');
}

/** A number, true, false or null. */
function skipScalar(bytes: Uint8Array, at: number): number {
  let end = at;
  for (let byte = bytes[end]; byte !== undefined && byte > 0x20; byte = bytes[++end]) {
    if (byte === comma || byte === closeBrace || byte === closeBracket) break;
  }
  if (end === at) throw malformed(bytes, at, 'a value');
  return end;
}

/**
 * Calls `visit` with each member of the object that begins at `at`: where its key lies, quotes left
 * out, and where its value begins. It returns where the value ends, which `skipValue` finds. Returns
 * where the object ends.
 * @throws SyntaxError; what `visit` throws
 */
export function eachMember(
  bytes: Uint8Array,
  at: number,
  visit: (keyStart: number, keyEnd: number, value: number) => number,
): number {
  if (bytes[at] !== openBrace) throw malformed(bytes, at, 'an object');
  let next = skipSpace(bytes, at + 1);
  if (bytes[next] === closeBrace) return next + 1;
  for (;;) {
    const keyEnd = skipString(bytes, next);
    const behind = skipSpace(bytes, keyEnd);
    if (bytes[behind] !== colon) throw malformed(bytes, behind, 'a colon');
    const separator = skipSpace(bytes, visit(next + 1, keyEnd - 1, skipSpace(bytes, behind + 1)));
    if (bytes[separator] === closeBrace) return separator + 1;
    if (bytes[separator] !== comma) throw malformed(bytes, separator, 'a comma');
    next = skipSpace(bytes, separator + 1);
  }
}
