/*
 * load - the most a server gives: plain requests with keep-alive and no thought.
 *
 *	load CONNECTIONS PLAN
 *
 * A line of the plan is METHOD, URL, FILE, OFFSET, LENGTH and headers, separated by tabs. FILE, mapped beforehand, is the
 * body of a PUT or POST; of a GET the answer is counted, and kept if there is a FILE, which is opened, written from OFFSET on
 * and closed; with a LENGTH a Range is asked for. URLs are signed in
 * advance (presigned, SAS), so nothing is computed here. Prints the seconds from the first request to the last answer,
 * the requests and the bytes. Any answer but 200, 201, 202 and 206, or a GET of another length, ends it with 1.
 */
#include <curl/curl.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct job { char *method, *url; const char *body; curl_off_t off, len, done; struct curl_slist *headers; bool ranged;
	     const char *keep; int fd; };
struct slot { CURL *easy; struct job *job; };

static struct job *jobs;
static size_t njobs, cap;

static void fail(const char *what, const char *which)
{
	fprintf(stderr, "load: %s: %s\n", what, which);
	exit(1);
}

/* The file of the line before is the likely one: parts of a large file follow each other. */
static const char *map_file(const char *name)
{
	static char *last;
	static const char *map;
	struct stat st;
	int fd;

	if (last && !strcmp(last, name))
		return map;
	fd = open(name, O_RDONLY);
	if (fd < 0 || fstat(fd, &st))
		fail("cannot open", name);
	map = st.st_size ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0) : "";
	if (map == MAP_FAILED)
		fail("cannot map", name);
	close(fd);
	free(last);
	last = strdup(name);
	return map;
}

static void add_job(char *line)
{
	struct job j = { .headers = curl_slist_append(NULL, "Expect:") };
	char *file, *word, *save = line;

	line[strcspn(line, "\n")] = 0;
	j.method = strdup(strsep(&save, "\t"));
	j.url = save ? strdup(strsep(&save, "\t")) : NULL;
	file = save ? strsep(&save, "\t") : NULL;
	word = save ? strsep(&save, "\t") : NULL;
	j.off = word ? atoll(word) : 0;
	word = save ? strsep(&save, "\t") : NULL;
	j.len = word ? atoll(word) : 0;
	if (!word)
		fail("malformed line of the plan", line);
	while (save && (word = strsep(&save, "\t")))
		j.headers = curl_slist_append(j.headers, word);
	if (*file && !strcmp(j.method, "GET")) {
		j.keep = strdup(file);
		j.ranged = j.off || j.len;
	} else if (*file)
		j.body = map_file(file) + j.off;
	else if (j.off || j.len)
		j.ranged = true;
	if (njobs == cap) {
		cap = cap ? cap * 2 : 1024;
		jobs = realloc(jobs, cap * sizeof(*jobs));
	}
	jobs[njobs++] = j;
}

static size_t on_read(char *p, size_t size, size_t n, void *data)
{
	struct job *j = data;
	size_t want = size * n;

	if ((curl_off_t)want > j->len - j->done)
		want = (size_t)(j->len - j->done);
	memcpy(p, j->body + j->done, want);
	j->done += (curl_off_t)want;
	return want;
}

static int on_seek(void *data, curl_off_t off, int origin)
{
	struct job *j = data;

	(void)origin;
	j->done = off;
	return CURL_SEEKFUNC_OK;
}

static size_t on_write(char *p, size_t size, size_t n, void *data)
{
	struct job *j = data;

	if (j->keep && pwrite(j->fd, p, size * n, j->off + j->done) != (ssize_t)(size * n))
		fail("cannot write", j->keep);
	j->done += (curl_off_t)(size * n);
	return size * n;
}

static void start(CURLM *multi, struct slot *s, struct job *j)
{
	char range[64];

	s->job = j;
	j->fd = j->keep ? open(j->keep, O_WRONLY | O_CREAT, 0666) : -1;
	if (j->keep && j->fd < 0)
		fail("cannot create", j->keep);
	curl_easy_reset(s->easy);
	curl_easy_setopt(s->easy, CURLOPT_URL, j->url);
	curl_easy_setopt(s->easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(s->easy, CURLOPT_PRIVATE, s);
	curl_easy_setopt(s->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(s->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, j->headers);
	curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(s->easy, CURLOPT_WRITEDATA, j);
	curl_easy_setopt(s->easy, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(s->easy, CURLOPT_SSL_VERIFYHOST, 0L);
	if (j->body) {
		curl_easy_setopt(s->easy, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(s->easy, CURLOPT_INFILESIZE_LARGE, j->len);
		curl_easy_setopt(s->easy, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(s->easy, CURLOPT_READDATA, j);
		curl_easy_setopt(s->easy, CURLOPT_SEEKFUNCTION, on_seek);
		curl_easy_setopt(s->easy, CURLOPT_SEEKDATA, j);
		curl_easy_setopt(s->easy, CURLOPT_UPLOAD_BUFFERSIZE, j->len > 1 << 20 ? 512L * 1024 : 64L * 1024);
		curl_easy_setopt(s->easy, CURLOPT_CUSTOMREQUEST, j->method);
	} else if (!strcmp(j->method, "HEAD")) {
		curl_easy_setopt(s->easy, CURLOPT_NOBODY, 1L);
	} else if (j->ranged) {
		snprintf(range, sizeof(range), "%lld-%lld", (long long)j->off, (long long)(j->off + j->len - 1));
		curl_easy_setopt(s->easy, CURLOPT_RANGE, range);
		curl_easy_setopt(s->easy, CURLOPT_BUFFERSIZE, 512L * 1024);
	}
	if (curl_multi_add_handle(multi, s->easy))
		fail("cannot start", j->url);
}

static unsigned long long end(CURLM *multi, CURL *easy, CURLcode cc, struct slot **s)
{
	long status = 0;
	struct job *j;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)s);
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	j = (*s)->job;
	curl_multi_remove_handle(multi, easy);
	if (j->keep)
		close(j->fd);
	if (cc)
		fail(curl_easy_strerror(cc), j->url);
	if (status != 200 && status != 201 && status != 202 && status != 204 && status != 206) {
		fprintf(stderr, "load: HTTP %ld\n", status);
		fail("refused", j->url);
	}
	if (j->ranged && j->done != j->len)
		fail("another length than asked for", j->url);
	return (unsigned long long)j->done;
}

static unsigned long long run(CURLM *multi, struct slot *slots, size_t nslots)
{
	unsigned long long bytes = 0;
	size_t next = 0, over = 0;
	int running, left;
	CURLMsg *m;

	for (size_t i = 0; i < nslots && next < njobs; i++)
		start(multi, &slots[i], &jobs[next++]);
	while (over < njobs) {
		curl_multi_perform(multi, &running);
		while ((m = curl_multi_info_read(multi, &left))) {
			struct slot *s;

			bytes += end(multi, m->easy_handle, m->data.result, &s);
			over++;
			if (next < njobs)
				start(multi, s, &jobs[next++]);
		}
		if (over < njobs)
			curl_multi_poll(multi, NULL, 0, 1000, NULL);
	}
	return bytes;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	size_t nslots = argc == 3 ? strtoul(argv[1], NULL, 10) : 0, size = 0;
	FILE *plan = nslots ? fopen(argv[2], "r") : NULL;
	unsigned long long bytes;
	struct slot *slots;
	char *line = NULL;
	CURLM *multi;
	double began;

	if (!plan)
		fail("usage", "load CONNECTIONS PLAN");
	curl_global_init(CURL_GLOBAL_DEFAULT);
	while (getline(&line, &size, plan) > 0)
		add_job(line);
	fclose(plan);
	multi = curl_multi_init();
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)nslots + 8);
	slots = calloc(nslots, sizeof(*slots));
	for (size_t i = 0; i < nslots; i++)
		slots[i].easy = curl_easy_init();
	began = now();
	bytes = run(multi, slots, nslots);
	printf("%.6f %zu %llu\n", now() - began, njobs, bytes);
	free(line);
	return 0;
}
