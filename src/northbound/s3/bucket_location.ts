/** Where a bucket is, as clients call it: there is one place, which the region of the endpoint names. */
import type { BucketRecord } from '../../catalog/object_records.js';
import { S3Failure } from './errors.js';
import type { XmlElement } from './xml_tree.js';

/** The region that has no name in documents: who says nothing means this one. */
const nameless_region = 'us-east-1';

/** What a CreateBucketConfiguration asks for; '' where nothing. @throws S3Failure InvalidLocationConstraint, IllegalLocationConstraintException, MalformedXML */
export function locationConstraint(configuration: XmlElement | null, region: string): string {
  const location = configuration?.optional('LocationConstraint')?.asText().trim() ?? '';
  if (location === '' || location === region) return location;
  if (region === nameless_region)
    throw new S3Failure(
      'InvalidLocationConstraint',
      `The specified location constraint is not valid: expecting '${region}', or none`,
      details(location),
    );
  throw new S3Failure(
    'IllegalLocationConstraintException',
    `The ${location} location constraint is incompatible for the region specific endpoint this request was sent to.`,
    details(location),
  );
}

/** As GetBucketLocation tells it: '' for the region without a name, unless whoever made the bucket called it so. */
export function locationOf({ location }: BucketRecord, region: string): string {
  return location !== '' || region === nameless_region ? location : region;
}

/** Making a bucket that one has already is fine there, and there only. */
export function allowsMakingAgain(region: string): boolean {
  return region === nameless_region;
}

function details(location: string): { readonly details: Readonly<Record<string, string>> } {
  return { details: { LocationConstraint: location } };
}
