// JSON with one reading. `JSON.parse` takes the last of two members with one name, and reads 1.0 as 1.

// The value, and the names of those top-level members that are written as whole numbers. It throws
// when a name is repeated at any depth, and when the text is nested deeper than `depthMax`.
export function parseStrict(bytes, depthMax) {
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  const value = JSON.parse(text)
  const integers = new Set()
  const open = [] // for each object the names so far, for each array undefined
  let name
  for (const [token, colon] of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]|-?\d[\d.eE+-]*/g)) {
    if (token === '{' || token === '[') {
      if (open.push(token === '{' ? new Set() : undefined) > depthMax) throw new SyntaxError('nested too deeply')
    } else if (token === '}' || token === ']') {
      open.pop()
    } else if (token.startsWith('"')) {
      const string = JSON.parse(colon ? token.slice(0, -colon.length) : token)
      if (!string.isWellFormed()) throw new SyntaxError('half a character')
      if (!colon) continue
      if (open.at(-1).has(string)) throw new SyntaxError('a name is repeated')
      open.at(-1).add((name = string))
    } else if (!Number.isFinite(Number(token))) {
      throw new SyntaxError('a number is too large')
    } else if (open.length === 1 && /^(?:0|[1-9]\d*)$/.test(token)) {
      integers.add(name)
    }
  }
  return { value, integers }
}

export const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)
