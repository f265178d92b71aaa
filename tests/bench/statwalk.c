/* The least that a status can cost: every directory read, every file stat'ed, by one thread. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static unsigned long files;

static void walk(int fd)
{
	DIR *d = fdopendir(fd);
	struct dirent *e;
	struct stat st;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		if (e->d_type == DT_DIR)
			walk(openat(fd, e->d_name, O_RDONLY | O_DIRECTORY));
		else if (!fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW))
			files++;
	}
	if (d)
		closedir(d);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	walk(open(argv[1], O_RDONLY | O_DIRECTORY));
	printf("%lu\n", files);
	return 0;
}
