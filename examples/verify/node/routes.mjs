// The routes of a session: docs/routes.md, as far as an API needs it.

// Reads a request target into decoded segments. Whatever two programs could read in two ways is
// refused with `undefined`; nothing is normalised.
export function readPath(target, mount = '/v1') {
  const mark = target.indexOf('?')
  const path = mark < 0 ? target : target.slice(0, mark)
  // eslint-disable-next-line no-control-regex
  if (/[#\x00-\x1f\x7f]/.test(mark < 0 ? '' : target.slice(mark))) return undefined
  if (path.length > 2048 || !path.startsWith(`${mount}/`)) return undefined
  const rest = path.slice(mount.length + 1)
  const raw = (rest.endsWith('/') ? rest.slice(0, -1) : rest).split('/')
  if (raw.length > 64) return undefined
  const segments = raw.map(readSegment)
  return segments.includes(undefined) ? undefined : segments
}

function readSegment(raw) {
  // Each character is one that may stand for itself, or two hexadecimal digits behind `%`.
  if (!/^(?:[A-Za-z0-9\-._~!$&'()*+,=:@]|%[0-9A-Fa-f]{2})+$/.test(raw)) return undefined
  // What needs no encoding, and what programs decode at different times, must not be encoded.
  for (const [, hex] of raw.matchAll(/%(..)/g)) {
    if (/[A-Za-z0-9\-._~/\\%?#;]/.test(String.fromCharCode(parseInt(hex, 16)))) return undefined
  }
  let text
  try {
    text = decodeURIComponent(raw)
  } catch {
    return undefined // not UTF-8
  }
  // eslint-disable-next-line no-control-regex
  return text === '.' || text === '..' || /[\x00-\x1f\x7f-\x9f]/.test(text) ? undefined : text
}

const METHOD = '(?:CONNECT|DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT|TRACE)'
const SEGMENT = String.raw`(?:\*\*?|[^/*?[\]{}<>!\\%;#\s\p{Cc}]+)`
const PATTERN = new RegExp(`^(?:(${METHOD}(?:,${METHOD})*) )?(${SEGMENT}(?:/${SEGMENT})*)$`, 'u')

// Whether a text is a pattern as hallpass writes it into tokens: methods sorted, each once, and no
// wildcard behind `**`.
export function isPattern(text) {
  const [, methods = '', path] = PATTERN.exec(text) ?? []
  if (path === undefined || [...text].length > 256) return false
  const segments = path.split('/')
  return (
    methods === [...new Set(methods.split(','))].sort().join() &&
    segments.length <= 32 &&
    segments.filter((segment) => segment === '**').length <= 3 &&
    !segments.some((segment, i) => segment === '.' || segment === '..' || (segments[i - 1] === '**' && /^\*/.test(segment)))
  )
}

// Whether one of the patterns allows the request. A token has canonical patterns only.
export function allows(patterns, method, segments) {
  return patterns.some((pattern) => {
    const space = pattern.indexOf(' ')
    const methods = space < 0 ? undefined : pattern.slice(0, space).split(',')
    if (methods && !methods.includes(method)) return false
    return matches(pattern.slice(space + 1).split('/'), segments)
  })
}

// `*` is one segment, `**` any number, at the end at least one. Rows of a table from the end of the
// pattern: `row[j]` says whether the rest of the pattern matches the segments from `j` on. So the
// work is pattern times path, whatever the pattern.
function matches(pieces, segments) {
  const count = segments.length
  let row = Array.from({ length: count + 1 }, (_, j) => j === count)
  for (let i = pieces.length - 1; i >= 0; i--) {
    const next = row
    row = new Array(count + 1).fill(false)
    const isLast = i === pieces.length - 1
    for (let j = count; j >= 0; j--) {
      if (pieces[i] === '**') row[j] = isLast ? j < count : next[j] || (j < count && row[j + 1])
      else row[j] = j < count && (pieces[i] === '*' || pieces[i] === segments[j]) && next[j + 1]
    }
  }
  return row[0]
}
