/** Tags of objects: how many there may be, of what, and as a header has them. */
import { S3Failure } from './errors.js';
import { Query } from './query.js';

export const object_tags_max = 10;
const tag_key_characters_max = 128;
const tag_value_characters_max = 256;
const tag_characters = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

/** `tags` in their order. @throws S3Failure InvalidTag */
export function checkedTags(tags: readonly (readonly [key: string, value: string])[], tagsMax = object_tags_max) {
  if (tags.length > tagsMax) throw new S3Failure('InvalidTag', `Object tags cannot be greater than ${tagsMax}`);
  const checked = new Map<string, string>();
  for (const [key, value] of tags) {
    if (key === '' || key.length > tag_key_characters_max || !tag_characters.test(key))
      throw new S3Failure('InvalidTag', 'The TagKey you have provided is invalid', { details: { TagKey: key } });
    if (value.length > tag_value_characters_max || !tag_characters.test(value))
      throw new S3Failure('InvalidTag', 'The TagValue you have provided is invalid', {
        details: { TagKey: key, TagValue: value },
      });
    if (key.toLowerCase().startsWith('aws:'))
      throw new S3Failure('InvalidTag', 'System tags cannot be added/updated by requester', { details: { TagKey: key } });
    if (checked.has(key))
      throw new S3Failure('InvalidTag', 'Cannot provide multiple Tags with the same key', { details: { TagKey: key } });
    checked.set(key, value);
  }
  return Object.fromEntries(checked);
}

/** Of `x-amz-tagging`: `key=value&other=`. @throws S3Failure InvalidTag, InvalidArgument */
export function tagsOfHeader(text: string): Record<string, string> {
  return checkedTags(parameters(text).map(({ name, value }) => [name, value]));
}

function parameters(text: string): Query['parameters'] {
  try {
    return new Query(text).parameters;
  } catch (cause) {
    throw new S3Failure(
      'InvalidArgument',
      "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.",
      { cause, details: { ArgumentName: 'x-amz-tagging', ArgumentValue: text } },
    );
  }
}
