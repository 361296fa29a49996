/** Sets a field of a plain object by the name that a user gave it. Assigning to `__proto__` would change the object's prototype instead. */
export function setOwn<T>(fields: { [name: string]: T }, name: string, value: T): void {
  // Defining is many times slower than assigning, and slows down every later use of the object.
  if (name === '__proto__')
    Object.defineProperty(fields, name, { value, enumerable: true, writable: true, configurable: true })
  else fields[name] = value
}
