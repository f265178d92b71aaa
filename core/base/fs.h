/*
 * fs - files as this project needs them: publish by rename, links of four kinds, walks, and fault points.
 *
 *  F1  A name appears only by rename or link of a complete temporary in the same directory (".<22 chars>.tmp").
 *  F2  fs_replace() syncs the file before and the directory after the rename: metadata survives a power cut.
 *  F3  Names from outside are walked with openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS) or step by step with
 *      O_NOFOLLOW where the kernel lacks it: a symlink raced in cannot lead out of the root.
 *  F4  fs_replace() keeps the mode of the file it replaces when 'mode' is 0; a symlink is replaced, not followed.
 *  F5  path_* follow Python's posixpath (normpath, join, relpath, dirname, basename).
 *
 * Static state: the umask, read once; a counter per thread for temporary names.
 */
#ifndef BASE_FS_H
#define BASE_FS_H

#include "core/base/compat.h"

#include <dirent.h>
#include <sys/stat.h>

struct str;
struct strvec;
struct err;

int  fs_read(struct str *out, const char *path, uint64_t max, struct err *e);   /* ERR_PARSE when larger */
int  fs_read_fd(struct str *out, int fd, uint64_t max, const char *name, struct err *e);
int  fs_replace(const char *path, const void *p, size_t n, mode_t mode, struct err *e);        /* F1 F2; 0: 0666 & ~umask */
int  fs_replace_at(int dirfd, const char *name, const void *p, size_t n, mode_t mode, struct err *e);   /* the same below dirfd */
/* The same without F2: for what is replaced many times in a row, until fs_sync(), which does what F2 says. */
int  fs_replace_unsynced(const char *path, const void *p, size_t n, struct err *e);
int  fs_sync(const char *path, struct err *e);
/* A new file to append to, locked (flock) before anybody who removes unlocked ones got it; -1: there can be none. */
int  fs_create_locked(const char *path, mode_t mode);
int  fs_write_all(int fd, const void *p, size_t n);                             /* -1 and errno */
/* Asks the file system for errors it keeps until a file is closed, as NFS does for a full disk or quota. -1 and errno. */
int  fs_settle(int fd);
/* The same, but a block of zeros only moves on and 1 is returned: when the last one was, ftruncate() is still owed. */
int  fs_write_sparse(int fd, const void *p, size_t n);
int  fs_mkdirs(const char *path, mode_t mode, struct err *e);                   /* all missing parents too */
int  fs_mkdirs_shared(const char *path, struct err *e);                         /* what it makes is the group's (02775) */
int  fs_mkdirs_at(int dirfd, const char *path, mode_t mode, struct err *e);
int  fs_rm_tree(const char *path, struct err *e);                               /* absent is fine; never follows links */
int  fs_rm_tree_at(int dirfd, const char *name, struct err *e);
#define autodir __attribute__((cleanup(fs_closedir)))
void fs_closedir(DIR **d);      /* for the attribute only */
/* The next entry that is neither "." nor "..": 1; 0 at the end; -1 when the directory cannot be read to its end. */
int  fs_next_entry(DIR *d, struct dirent **out, const char *shown, struct err *e);
bool fs_exists(const char *path);                                               /* lstat; true where the disk fails */
bool fs_is_dir(const char *path);                                               /* stat */
bool fs_is_link(const char *path);
/* What to write for 'path': where it leads if it is a link to something below 'root' (NULL: anywhere), else itself. */
char *fs_follow(const char *path, const char *root);
bool fs_is_remote(const char *dir);     /* on a file system that other machines write to, or that may be one (FUSE) */
mode_t fs_umask(void);
void fs_temp_name(char out[32]);                                                /* ".<22 url-safe>.tmp" */
/* One that another process finds again by the same 16 bytes. */
void fs_temp_known(char out[32], const unsigned char id[16]);
bool fs_is_temp_name(const char *name);
/* The same for what may be thrown away (temps.h); the maker from such a name, else 0. */
void fs_temp_scratch(char out[32]);
uint64_t fs_temp_maker(const char *name);
uint64_t fs_temp_self(void);    /* this process as a maker: its number above 32 random bits; containers repeat numbers */

/* Opens 'rel' under root without leaving it, through no symlink (F3). */
int  fs_open_beneath(int rootfd, const char *rel, int flags, mode_t mode, struct err *e);
/* Opens the parent directory of 'rel' (making it if 'make'), gives the last component in *base (inside rel). */
int  fs_parent_beneath(int rootfd, const char *rel, bool make, const char **base, struct err *e);

/* Text operations on paths; all return malloc'd strings, '/' separated. */
char *path_join(const char *a, const char *b);          /* b absolute: b */
char *path_norm(const char *p);                         /* no ".", "..", "//"; keeps leading ".." of relative ones */
char *path_abs(const char *p);                          /* path_norm(cwd + p); no symlink is resolved */
char *path_rel(const char *p, const char *start);       /* like os.path.relpath; both absolute */
char *path_dir(const char *p);                          /* "" when there is none */
const char *path_base(const char *p);                   /* points into p */
bool path_is_inside(const char *p, const char *dir);    /* equal or below; both normalised absolute or both relative */
/* A relative name from outside that may be created under a root: not empty, not absolute, no "", ".", ".." part,
 * no NUL, and no component ".git" or ".dvc" in any case. */
bool path_is_safe(const char *rel);

enum link_kind { LINK_REFLINK, LINK_HARDLINK, LINK_SYMLINK, LINK_COPY };
const char *link_kind_name(enum link_kind k);

#endif
