/*
 * awsini - ~/.aws/config and ~/.aws/credentials as botocore reads them.
 *
 *  I1  Profile names keep their case; values keep '#' and ';'; a line may be of any length up to the file's cap.
 *  I2  An indented "name = value" below "s3 =" is the option "s3.name" of the profile.
 *  I3  "[services x]" is kept as a profile that no file can name: awsini_service() asks for its options.
 */
#ifndef REMOTES_AWSINI_H
#define REMOTES_AWSINI_H

#include "core/base/map.h"

struct err;

struct awsini { struct map v; /* "profile\nkey" -> char *; "profile" alone marks that it exists */ };
#define AWSINI_INIT { MAP_INIT }
/* Adds what the text says. is_config: sections are "[profile x]", "[default]", "[services x]"; others are skipped. */
int  awsini_parse(struct awsini *out, const char *text, size_t len, bool is_config, const char *name, struct err *e);
int  awsini_load(struct awsini *out, const char *path, bool is_config, struct err *e);  /* absent file: nothing added */
const char *awsini_get(const struct awsini *a, const char *profile, const char *key);
/* Option key ("sts.endpoint_url") of the services section that the profile names. */
const char *awsini_service(const struct awsini *a, const char *profile, const char *key);
bool awsini_has(const struct awsini *a, const char *profile);
void awsini_release(struct awsini *a);

#endif
