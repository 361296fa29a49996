import { HubError } from '../errors/hub-error.ts'

/**
 * The regular expressions of `$regex`: a subset of RE2 and PCRE on which both agree, matched in time linear in pattern × text by simulating an NFA.
 * JavaScript's own engine backtracks: `^(a+)+$` on 27 characters took 12 s (measured).
 *
 * Known: literals, `.`, classes `[a-z]` `[^…]`, `\d \w \s \D \W \S`, escaped punctuation, `\n \r \t`, groups `( )` `(?: )`, `|`, `* + ?` `{m,n}` up to 100 (greedy or lazy),
 * `^` and `$`. Not known: back-references, look-around, named groups, `\b`, Unicode properties, flags in the pattern. Classes `\d \w \s` are ASCII.
 */
export const REGEX_LIMITS = { pattern: 256, states: 5000, repeat: 100 } as const

type Test = (codePoint: number) => boolean
type Node =
  | { readonly kind: 'char'; readonly test: Test }
  | { readonly kind: 'start' | 'end' | 'empty' }
  | { readonly kind: 'sequence' | 'choice'; readonly of: readonly Node[] }
  | { readonly kind: 'repeat'; readonly of: Node; readonly least: number; readonly most: number }

/** @throws INVALID with the position when the pattern is outside the subset. */
export function checkRegex(pattern: string, path: string): void {
  new Program(new PatternParser(pattern, false, path).parse(), path)
}

const cache = new Map<string, (text: string) => boolean>()

/** A matcher that finds the pattern anywhere in a text, as MongoDB does. */
export function compileRegex(pattern: string, ignoreCase: boolean): (text: string) => boolean {
  const key = `${ignoreCase ? 'i' : ''}/${pattern}`
  let matcher = cache.get(key)
  if (matcher === undefined) {
    const program = new Program(new PatternParser(pattern, ignoreCase, '').parse(), '')
    matcher = (text) => program.finds(text)
    if (cache.size > 100) cache.clear()
    cache.set(key, matcher)
  }
  return matcher
}

class PatternParser {
  readonly #chars: readonly string[]
  readonly #ignoreCase: boolean
  readonly #path: string
  #at = 0

  constructor(pattern: string, ignoreCase: boolean, path: string) {
    this.#path = path
    this.#ignoreCase = ignoreCase
    this.#chars = [...pattern]
    if (this.#chars.length > REGEX_LIMITS.pattern)
      throw this.#refuse(`is longer than ${REGEX_LIMITS.pattern} characters`)
    if (!pattern.isWellFormed() || pattern.includes('\u0000')) throw this.#refuse('holds a lone surrogate or NUL')
  }

  parse(): Node {
    const node = this.#choice(0)
    if (this.#at < this.#chars.length) throw this.#refuse(`has an unmatched ')'`)
    return node
  }

  #choice(depth: number): Node {
    if (depth > 20) throw this.#refuse('is nested too deep')
    const branches = [this.#sequence(depth)]
    while (this.#chars[this.#at] === '|') {
      this.#at++
      branches.push(this.#sequence(depth))
    }
    return branches.length === 1 ? (branches[0] as Node) : { kind: 'choice', of: branches }
  }

  #sequence(depth: number): Node {
    const of: Node[] = []
    for (let c = this.#chars[this.#at]; c !== undefined && c !== '|' && c !== ')'; c = this.#chars[this.#at])
      of.push(this.#quantified(depth))
    return { kind: 'sequence', of }
  }

  #quantified(depth: number): Node {
    const of = this.#atom(depth)
    const c = this.#chars[this.#at]
    let least: number
    let most: number
    if (c === '*' || c === '+' || c === '?') {
      this.#at++
      least = c === '+' ? 1 : 0
      most = c === '?' ? 1 : Number.POSITIVE_INFINITY
    } else if (c === '{') {
      const counted = /^\{(\d{1,3})(,(\d{0,3}))?\}/.exec(this.#chars.slice(this.#at).join(''))
      if (counted === null) throw this.#refuse(`has a '{' that is no {m,n}; escape it`)
      this.#at += counted[0].length
      least = Number(counted[1])
      most = counted[2] === undefined ? least : counted[3] === '' ? Number.POSITIVE_INFINITY : Number(counted[3])
      if (
        least > REGEX_LIMITS.repeat ||
        (most !== Number.POSITIVE_INFINITY && most > REGEX_LIMITS.repeat) ||
        most < least
      ) {
        throw this.#refuse(`repeats more than ${REGEX_LIMITS.repeat} times, or {m,n} with n below m`)
      }
    } else {
      return of
    }
    if (of.kind === 'start' || of.kind === 'end') throw this.#refuse('repeats an anchor')
    const next = this.#chars[this.#at]
    // Lazy or greedy makes no difference to whether a text matches.
    if (next === '?') this.#at++
    else if (next === '*' || next === '+' || next === '{') throw this.#refuse('has two quantifiers in a row')
    return { kind: 'repeat', of, least, most }
  }

  #atom(depth: number): Node {
    const c = this.#chars[this.#at++] as string
    switch (c) {
      case '^':
        return { kind: 'start' }
      case '$':
        return { kind: 'end' }
      case '.':
        return { kind: 'char', test: (p) => p !== 10 }
      case '[':
        return { kind: 'char', test: this.#class() }
      case '\\':
        return { kind: 'char', test: this.#escape() }
      case '(':
        return this.#group(depth)
      case '*':
      case '+':
      case '?':
      case '{':
        throw this.#refuse(`has '${c}' with nothing to repeat`)
      default:
        return { kind: 'char', test: this.#fold(c.codePointAt(0) as number) }
    }
  }

  #group(depth: number): Node {
    if (this.#chars[this.#at] === '?') {
      if (this.#chars[this.#at + 1] !== ':')
        throw this.#refuse('has a group other than ( ) and (?: ): look-around, names and flags are not known')
      this.#at += 2
    }
    const node = this.#choice(depth + 1)
    if (this.#chars[this.#at] !== ')') throw this.#refuse(`has an unclosed '('`)
    this.#at++
    return node
  }

  #escape(): Test {
    const c = this.#chars[this.#at++]
    if (c === undefined) throw this.#refuse('ends in a backslash')
    const shared = SHORTHANDS[c]
    if (shared !== undefined) return shared
    const control = { n: 10, r: 13, t: 9 }[c]
    if (control !== undefined) return (p) => p === control
    if (/[A-Za-z0-9]/.test(c)) throw this.#refuse(`has '\\${c}', which is not known`)
    return this.#fold(c.codePointAt(0) as number)
  }

  #class(): Test {
    const negated = this.#chars[this.#at] === '^'
    if (negated) this.#at++
    const tests: Test[] = []
    for (let first = true; ; first = false) {
      const c = this.#chars[this.#at++]
      if (c === undefined) throw this.#refuse(`has an unclosed '['`)
      if (c === ']' && !first) break
      if (c === '[' && /[:.=]/.test(this.#chars[this.#at] ?? ''))
        throw this.#refuse('has a POSIX class, which is not known')
      if (c === '\\') {
        const escaped = this.#chars[this.#at]
        if (escaped !== undefined && SHORTHANDS[escaped] !== undefined) {
          this.#at++
          tests.push(SHORTHANDS[escaped])
          continue
        }
      }
      const low = c === '\\' ? this.#escapedPoint() : (c.codePointAt(0) as number)
      if (
        this.#chars[this.#at] === '-' &&
        this.#chars[this.#at + 1] !== ']' &&
        this.#chars[this.#at + 1] !== undefined
      ) {
        this.#at++
        const d = this.#chars[this.#at++] as string
        const high = d === '\\' ? this.#escapedPoint() : (d.codePointAt(0) as number)
        if (high < low) throw this.#refuse('has a class whose range runs backwards')
        tests.push(this.#range(low, high))
      } else {
        tests.push(this.#fold(low))
      }
    }
    return negated ? (p) => !tests.some((test) => test(p)) : (p) => tests.some((test) => test(p))
  }

  #escapedPoint(): number {
    const c = this.#chars[this.#at++]
    if (c === undefined) throw this.#refuse('ends in a backslash')
    const control = { n: 10, r: 13, t: 9 }[c]
    if (control !== undefined) return control
    if (/[A-Za-z0-9]/.test(c)) throw this.#refuse(`has '\\${c}' in a class, which is not known there`)
    return c.codePointAt(0) as number
  }

  #fold(point: number): Test {
    if (!this.#ignoreCase) return (p) => p === point
    const folded = foldCase(point)
    return (p) => foldCase(p) === folded
  }

  #range(low: number, high: number): Test {
    if (!this.#ignoreCase) return (p) => p >= low && p <= high
    return (p) => variants(p).some((v) => v >= low && v <= high)
  }

  #refuse(why: string): HubError {
    return new HubError('INVALID', `The pattern ${why} (near character ${this.#at}).`, {
      at: { scheme: 'core', op: 'filter' },
      path: this.#path,
      reason: 'REGEX_REFUSED',
    })
  }
}

const digit: Test = (p) => p >= 48 && p <= 57
const word: Test = (p) => digit(p) || (p >= 65 && p <= 90) || (p >= 97 && p <= 122) || p === 95
const space: Test = (p) => p === 32 || (p >= 9 && p <= 13)
const SHORTHANDS: Readonly<Record<string, Test>> = {
  d: digit,
  w: word,
  s: space,
  D: (p) => !digit(p),
  W: (p) => !word(p),
  S: (p) => !space(p),
}

/**
 * Simple case folding of one code point; the same as JavaScript's under `iu`, compared over all of Unicode. Dotless i has an upper case (I) but
 * folds to no other letter, and some Greek letters have an upper case of several code points but a simple lower case.
 */
function foldCase(point: number): number {
  if (point < 128) return point >= 65 && point <= 90 ? point + 32 : point
  if (point === 0x131) return point
  const text = String.fromCodePoint(point)
  return single(text.toUpperCase().toLowerCase()) ?? single(text.toLowerCase()) ?? point
}

/** The code points that differ from one only in case, as far as a class's range may name them. */
function variants(point: number): readonly number[] {
  if (point === 0x131) return [point]
  const text = String.fromCodePoint(point)
  const folded = foldCase(point)
  const others = [text.toLowerCase(), text.toUpperCase(), String.fromCodePoint(folded).toUpperCase()]
  return [point, folded, ...others.flatMap((other) => single(other) ?? [])]
}

function single(text: string): number | undefined {
  const point = text.codePointAt(0)
  return point !== undefined && String.fromCodePoint(point).length === text.length ? point : undefined
}

type State =
  | { readonly kind: 'char'; readonly test: Test; next: number }
  | { readonly kind: 'fork'; a: number; b: number }
  | { readonly kind: 'start' | 'end'; next: number }
  | { readonly kind: 'accept' }

/** A Thompson NFA; the set of live states is all that a match keeps. */
class Program {
  readonly #states: State[] = [{ kind: 'accept' }]
  readonly #entry: number
  readonly #path: string

  constructor(node: Node, path: string) {
    this.#path = path
    this.#entry = this.#build(node, 0)
  }

  #add(state: State): number {
    if (this.#states.length >= REGEX_LIMITS.states) {
      throw new HubError('INVALID', 'The pattern is too large when its repetitions are written out.', {
        at: { scheme: 'core', op: 'filter' },
        path: this.#path,
        reason: 'REGEX_REFUSED',
      })
    }
    return this.#states.push(state) - 1
  }

  #build(node: Node, next: number): number {
    switch (node.kind) {
      case 'char':
        return this.#add({ kind: 'char', test: node.test, next })
      case 'start':
      case 'end':
        return this.#add({ kind: node.kind, next })
      case 'empty':
        return next
      case 'sequence':
        return node.of.reduceRight((after, part) => this.#build(part, after), next)
      case 'choice':
        return node.of.map((part) => this.#build(part, next)).reduceRight((b, a) => this.#add({ kind: 'fork', a, b }))
      case 'repeat': {
        let after = next
        if (node.most === Number.POSITIVE_INFINITY) {
          const loop: { kind: 'fork'; a: number; b: number } = { kind: 'fork', a: 0, b: next }
          const at = this.#add(loop)
          loop.a = this.#build(node.of, at)
          after = at
        } else {
          for (let i = node.least; i < node.most; i++)
            after = this.#add({ kind: 'fork', a: this.#build(node.of, after), b: next })
        }
        for (let i = 0; i < node.least; i++) after = this.#build(node.of, after)
        return after
      }
    }
  }

  finds(text: string): boolean {
    const seen = new Uint32Array(this.#states.length)
    let mark = 0
    let live: number[] = []
    let length = 0
    // PCRE's $ also matches before a final line feed.
    const last = text.endsWith('\n') ? text.length - 1 : text.length
    const enter = (into: number[], from: number, at: number): boolean => {
      const stack = [from]
      while (stack.length > 0) {
        const i = stack.pop() as number
        if (seen[i] === mark) continue
        seen[i] = mark
        const state = this.#states[i] as State
        if (state.kind === 'accept') return true
        if (state.kind === 'char') into.push(i)
        else if (state.kind === 'fork') stack.push(state.b, state.a)
        else if (state.kind === 'start' ? at === 0 : at === text.length || at === last) stack.push(state.next)
      }
      return false
    }
    for (let at = 0; ; at += length) {
      mark++
      const entered: number[] = []
      for (const from of live) if (enter(entered, from, at)) return true
      if (enter(entered, this.#entry, at)) return true
      if (at >= text.length) return false
      const point = text.codePointAt(at) as number
      length = point > 0xffff ? 2 : 1
      live = []
      for (const i of entered) {
        const state = this.#states[i] as State & { kind: 'char' }
        if (state.test(point)) live.push(state.next)
      }
    }
  }
}
