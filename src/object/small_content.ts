/** Content of a bounded length that is read at once, into memory that stays as it is. Who knows that waits once, where an iterator has turns for each piece. */
export class SmallContent<Bytes extends Uint8Array = Uint8Array> implements AsyncIterable<Bytes> {
  readonly #read: () => Promise<Bytes>;

  /** `read`: where it rejects, that is what reading the content throws. */
  constructor(read: () => Promise<Bytes>) {
    this.#read = read;
  }

  /** As often as who made it allows. */
  whole(): Promise<Bytes> {
    return this.#read();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Bytes, void> {
    const whole = await this.#read();
    if (whole.length > 0) yield whole;
  }
}
