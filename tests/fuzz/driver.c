/* Replays files or directories through a fuzz target without the fuzzer: link it with any fuzz_*.c. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	size_t size = 0, cap = 4096, n;
	uint8_t *data = malloc(cap);

	if (!f || !data) {
		perror(path);
		return 1;
	}
	while ((n = fread(data + size, 1, cap - size, f)) > 0) {
		size += n;
		if (size == cap && !(data = realloc(data, cap *= 2)))
			abort();
	}
	fclose(f);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 0;
}

static int replay(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int bad = 0;

	if (!d)
		return replay_file(path);
	while ((e = readdir(d))) {
		char sub[4096];

		if (e->d_name[0] == '.')
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		bad |= replay(sub);
	}
	closedir(d);
	return bad;
}

int main(int argc, char **argv)
{
	int bad = 0;

	for (int i = 1; i < argc; i++)
		bad |= replay(argv[i]);
	return bad;
}
