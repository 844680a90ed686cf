/** The query of a request: decoded for those who read it, and once more encoded, in order, for those who check what was signed. */
import { S3Failure } from './errors.js';
import { percentDecoded, percentEncoded, textOfBytes } from './percent.js';

export interface QueryParameter {
  readonly name: string;
  /** Empty where there is none. */
  readonly value: string;
  /** `?acl=` is not `?acl` to signatures of version 2. */
  readonly hasValue: boolean;
}

const none = [] as const;

export class Query {
  /** In the order they came. */
  readonly parameters: readonly QueryParameter[];
  readonly #encoded: readonly { readonly parameter: QueryParameter; readonly name: string; readonly value: string }[];

  /**
   * `text` is what stood after the question mark, one character for each byte.
   * @throws S3Failure InvalidURI where it does not decode to UTF-8
   */
  constructor(text: string) {
    if (text === '') {
      this.#encoded = none;
      this.parameters = none;
      return;
    }
    this.#encoded = text
      .split('&')
      .filter((part) => part !== '')
      .map((part) => {
        const equals = part.indexOf('=');
        const name = decoded(equals < 0 ? part : part.slice(0, equals));
        const value = equals < 0 ? { bytes: '', text: '' } : decoded(part.slice(equals + 1));
        return {
          parameter: { name: name.text, value: value.text, hasValue: equals >= 0 },
          name: percentEncoded(name.bytes, 'encode'),
          value: percentEncoded(value.bytes, 'encode'),
        };
      });
    this.parameters = this.#encoded.map(({ parameter }) => parameter);
  }

  has(name: string): boolean {
    return this.parameters.length > 0 && this.parameters.some((parameter) => parameter.name === name);
  }

  /** All values of that name, in the order they came. */
  all(name: string): string[] {
    return this.parameters.filter((parameter) => parameter.name === name).map(({ value }) => value);
  }

  /**
   * The one value of that name.
   * @throws S3Failure InvalidArgument where there are several: whoever signed them may have meant another than we would take
   */
  get(name: string): string | undefined {
    if (this.parameters.length === 0) return undefined;
    const values = this.all(name);
    if (values.length > 1)
      throw new S3Failure('InvalidArgument', `The query parameter ${name} may be there once only`, {
        details: { ArgumentName: name },
      });
    return values[0];
  }

  /** As signatures of version 4 have it: sorted by encoded name, then value. Without the parameter `except`. */
  canonical(except?: string): string {
    if (this.#encoded.length === 0) return '';
    return this.#encoded
      .filter(({ parameter }) => parameter.name !== except)
      .sort((a, b) => order(a.name, b.name) || order(a.value, b.value))
      .map(({ name, value }) => `${name}=${value}`)
      .join('&');
  }
}

/** What is encoded is ASCII: the order of characters is that of bytes. */
function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function decoded(part: string): { readonly bytes: string; readonly text: string } {
  // In a query, unlike in a path, a plus is a space; also in what is signed.
  const bytes = percentDecoded(part.replaceAll('+', ' '));
  const text = bytes === null ? null : textOfBytes(bytes);
  if (bytes === null || text === null) throw new S3Failure('InvalidURI');
  return { bytes, text };
}
