/** Owners of what is listed. A page has few, however much is on it. */
import { isSkerryError } from '../../core/errors.js';
import type { S3Services } from './exchange.js';
import { element, type XmlNode } from './xml_document.js';

export class ListedOwners {
  readonly #accounts: S3Services['accounts'];
  readonly #known = new Map<number, readonly XmlNode[]>();

  constructor({ accounts }: S3Services) {
    this.#accounts = accounts;
  }

  /** As an element `name`; none where the account is no more. */
  async of(account: number, name = 'Owner'): Promise<readonly XmlNode[]> {
    let content = this.#known.get(account);
    if (content === undefined) {
      content = await this.#find(account);
      this.#known.set(account, content);
    }
    return content.length === 0 ? [] : [element(name, content)];
  }

  async #find(account: number): Promise<readonly XmlNode[]> {
    try {
      const { canonicalId, displayName } = await this.#accounts.get(account);
      return [element('ID', canonicalId), element('DisplayName', displayName)];
    } catch (error) {
      if (isSkerryError(error, 'not-found')) return [];
      throw error;
    }
  }
}
