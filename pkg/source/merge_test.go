package source

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var sampleTime = time.Unix(1090000000, 0)

// lines joins lines [from, to) of a log.
func lines(data []byte, from, to int) []byte {
	return slices.Concat(slices.Collect(bytes.Lines(data))[from:to]...)
}

func TestRotatedFilesInAnyOrder(t *testing.T) {
	data := sample(6000)
	paths := []string{
		write(t, "mail.log.2.gz", gz(t, lines(data, 0, 2000), time.Time{})),
		write(t, "mail.log.1", lines(data, 2000, 4000)),
		write(t, "mail.log", lines(data, 4000, 6000)),
	}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
		got, stats, err := read(t, ArchiveOptions{Time: unixTime}, paths[order[0]], paths[order[1]], paths[order[2]])
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, string(data))
		if stats.Duplicates != 0 || len(stats.Warnings) != 0 || stats.Files[1].File != paths[order[1]] {
			t.Errorf("stats: %+v", stats)
		}
	}
}

// A log cut anywhere, in the middle of a second too, is the log.
func TestCutAnywhere(t *testing.T) {
	data := sample(60)
	for cut := 1; cut < 60; cut++ {
		got, stats, err := read(t, ArchiveOptions{Time: unixTime}, write(t, "b", lines(data, cut, 60)), write(t, "a", lines(data, 0, cut)))
		if err != nil || stats.Duplicates != 0 {
			t.Fatal(cut, err, stats)
		}
		same(t, got, string(data))
	}
}

// Whatever two parts overlap by, the whole comes out.
func TestOverlapAnywhere(t *testing.T) {
	data := sample(24)
	for from := range 24 {
		for to := from; to <= 24; to++ {
			a, b := write(t, "a", lines(data, 0, max(1, to))), write(t, "b", lines(data, min(from, 23), 24))
			got, _, err := read(t, ArchiveOptions{Time: unixTime, Block: 200, MaxLine: 100}, b, a)
			if err != nil {
				t.Fatal(err)
			}
			if to < from {
				continue
			}
			same(t, got, string(data))
		}
	}
}

func TestSameFileTwice(t *testing.T) {
	data := sample(3000)
	dir := t.TempDir()
	path := write(t, "a", data)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	copied := write(t, "copy.gz", gz(t, data, time.Time{}))
	got, stats, err := read(t, ArchiveOptions{Time: unixTime}, path, link, path, copied)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, string(data))
	if stats.Duplicates != 3000 || len(stats.Warnings) != 3 || len(stats.Files) != 2 {
		t.Errorf("stats: %+v", stats)
	}
}

// naiveMerge is what overlapping files mean, second by second.
func naiveMerge(files [][]string, when func(string) int64) string {
	seconds := map[int64][][]string{}
	for i, file := range files {
		for _, line := range file {
			s := when(line)
			if seconds[s] == nil {
				seconds[s] = make([][]string, len(files))
			}
			seconds[s][i] = append(seconds[s][i], line)
		}
	}
	var order []int64
	for s := range seconds {
		order = append(order, s)
	}
	slices.Sort(order)
	var out strings.Builder
	for _, s := range order {
		delivered := map[string]int{}
		for _, file := range seconds[s] {
			count := map[string]int{}
			for _, line := range file {
				if count[line]++; count[line] > delivered[line] {
					delivered[line]++
					out.WriteString(line)
				}
			}
		}
	}
	return out.String()
}

// Overlapping files, some lines in all of them and some in one, some several
// times in one second, merged with blocks that end anywhere.
func TestMergeAgainstNaiveTwin(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 7))
		n := 2 + r.IntN(4)
		files := make([][]string, n)
		for s := range 1000 {
			for range r.IntN(4) {
				line := fmt.Sprintf("%d text %d\n", 1000+s, r.IntN(3))
				for i := range files {
					// All overlap from 200 to 800; the ends differ.
					if s >= i*40 && s < 1000-(n-i)*40 && r.IntN(8) > 0 {
						files[i] = append(files[i], line)
					}
				}
			}
		}
		var paths []string
		for i, f := range files {
			paths = append(paths, write(t, fmt.Sprint(i), []byte(strings.Join(f, ""))))
		}
		want := naiveMerge(files, func(line string) int64 {
			at, _ := unixTime([]byte(line), time.Time{})
			return at.Unix()
		})
		o := ArchiveOptions{Time: unixTime, MaxLine: 32, Block: 33 + r.IntN(3000)}
		got, stats, err := read(t, o, paths...)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Logf("seed %d, block %d", seed, o.Block)
		}
		same(t, got, want)
		var all uint64
		for _, f := range stats.Files {
			all += f.Lines
		}
		if all != stats.Lines+stats.Duplicates {
			t.Errorf("seed %d: %d lines in the files, %d delivered, %d double", seed, all, stats.Lines, stats.Duplicates)
		}
	}
}

// Lines that stand a little out of order are still the same lines in a copy.
func TestMergeDisorder(t *testing.T) {
	var log []string
	r := rand.New(rand.NewPCG(3, 3))
	for i := range 2000 {
		log = append(log, fmt.Sprintf("%d line %d\n", 5000+i/4-r.IntN(20), i))
	}
	a := write(t, "a", []byte(strings.Join(log[:1500], "")))
	b := write(t, "b", []byte(strings.Join(log[500:], "")))
	got, stats, err := read(t, ArchiveOptions{Time: unixTime, MaxLine: 64, Block: 500}, a, b)
	if err != nil || stats.Duplicates != 1000 || stats.Lines != 2000 {
		t.Fatalf("%v, %d lines, %d double", err, stats.Lines, stats.Duplicates)
	}
	have := strings.SplitAfter(got, "\n")
	slices.Sort(have)
	want := append(slices.Clone(log), "")
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Error("a line is missing or double")
	}
}

// Far from any overlap blocks are handed on as they were read.
func TestOverlapIsLeftAgain(t *testing.T) {
	data := sample(60000) // 20,000 seconds
	a, b, c := lines(data, 0, 20000), lines(data, 19000, 40000), lines(data, 40000, 60000)
	paths := []string{write(t, "c", c), write(t, "b", b), write(t, "a", a)}
	asked := 0
	count := func(line []byte, ref time.Time) (time.Time, bool) {
		asked++
		return unixTime(line, ref)
	}
	got, stats, err := read(t, ArchiveOptions{Time: count, Block: 4096, MaxLine: 128}, paths...)
	if err != nil || stats.Duplicates != 1000 {
		t.Fatal(err, stats)
	}
	same(t, got, string(data))
	if asked > 6000 {
		t.Errorf("the time of %d of 61,000 lines was asked for", asked)
	}
}

// Files without a time stand where they were last written, and disturb no merge.
func TestFilesWithoutTime(t *testing.T) {
	data := sample(3000)
	a, b := write(t, "a", lines(data, 0, 2000)), write(t, "b", lines(data, 1000, 3000))
	none := write(t, "none", []byte("no time\nat all"))
	early := write(t, "early", []byte("older\n"))
	for path, at := range map[string]time.Time{none: sampleTime.Add(100 * time.Second), early: sampleTime.Add(-time.Hour)} {
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	got, stats, err := read(t, ArchiveOptions{Time: unixTime}, none, b, early, a)
	if err != nil || stats.Duplicates != 1000 {
		t.Fatal(err, stats)
	}
	same(t, got, "older\n"+string(data)+"no time\nat all\n")

	// Without Time the file system alone decides.
	for i, path := range []string{none, early} {
		at := sampleTime.Add(time.Duration(i) * time.Hour)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	got, _, err = read(t, ArchiveOptions{}, early, none)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, "no time\nat all\nolder\n")
}

// Blocks that are not merged say where in their file they begin.
func TestFileLine(t *testing.T) {
	data := sample(20000)
	files := map[string][]string{}
	var paths []string
	for _, span := range [][2]int{{0, 3000}, {2900, 9000}, {9000, 9001}, {9100, 16000}, {12000, 12500}, {16000, 20000}} {
		content := lines(data, span[0], span[1])
		path := write(t, fmt.Sprint(span[0]), content)
		files[path] = strings.Split(string(content), "\n")
		paths = append(paths, path)
	}
	merged, alone := 0, map[string]bool{}
	_, err := ReadArchives(t.Context(), paths, ArchiveOptions{Time: unixTime, MaxLine: 99, Block: 5000}, func(b *Block) error {
		if b.FileLine == 0 {
			merged++
			return nil
		}
		alone[b.File] = true
		for n, line := range b.All() {
			if at := b.FileLine + n - b.FirstLine; files[b.File][at-1] != string(line) {
				return fmt.Errorf("%s:%d is %q, got %q", b.File, at, files[b.File][at-1], line)
			}
		}
		return nil
	})
	if err != nil || merged == 0 || len(alone) < 4 {
		t.Errorf("%v; %d merged blocks, %d files alone", err, merged, len(alone))
	}
}

// Standard input takes its place among the files.
func TestStdinAmongFiles(t *testing.T) {
	data := sample(3000)
	for name, in := range map[string][]byte{"plain": lines(data, 900, 2000), "gzip": gz(t, lines(data, 900, 2000), time.Time{})} {
		got, stats, err := read(t, ArchiveOptions{Time: unixTime, Stdin: bytes.NewReader(in), Block: 600000, MaxLine: 99},
			"-", write(t, "b", lines(data, 2000, 3000)), write(t, "a", lines(data, 0, 1000)), "-")
		if err != nil || stats.Duplicates != 100 || len(stats.Warnings) != 2 {
			t.Fatal(name, err, stats)
		}
		same(t, got, string(data))
	}
}

// Pipes that a shell has opened take theirs, and nothing that was read ahead of
// them is lost.
func TestPipesAmongFiles(t *testing.T) {
	if _, err := os.Stat("/dev/fd"); err != nil {
		t.Skip("no /dev/fd: ", err)
	}
	data := sample(30000)
	pipe := func(content []byte) string {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		go func() {
			defer w.Close()
			_, _ = w.Write(content)
		}()
		return fmt.Sprintf("/dev/fd/%d", r.Fd())
	}
	got, _, err := read(t, ArchiveOptions{Time: unixTime},
		pipe(lines(data, 20000, 30000)), write(t, "a", lines(data, 10000, 20000)), pipe(gz(t, lines(data, 0, 10000), time.Time{})))
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, string(data))
}

// The archive that breaks off is merged up to there.
func TestTruncatedInMerge(t *testing.T) {
	data := sample(6000)
	a := gz(t, lines(data, 0, 4000), time.Time{})
	got, _, err := read(t, ArchiveOptions{Time: unixTime}, write(t, "a", a[:len(a)-10]), write(t, "b", lines(data, 1000, 6000)))
	if !errors.Is(err, ErrTruncated) {
		t.Errorf("error %v", err)
	}
	same(t, got, string(data))
}

// yearless reads "Jan _2" stamps: the year nearest to the reference.
func yearless(line []byte, reference time.Time) (time.Time, bool) {
	t, err := time.Parse("Jan _2", string(line))
	if err != nil {
		return t, false
	}
	best := t
	for y := reference.Year() - 1; y <= reference.Year()+1; y++ {
		c := time.Date(y, t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
		if c.Sub(reference).Abs() < best.Sub(reference).Abs() {
			best = c
		}
	}
	return best, true
}

func TestStartWithoutYear(t *testing.T) {
	for _, c := range []struct{ first, written, want string }{
		{"Jul 14", "2004-07-15", "2004-07-14"},
		{"Dec 31", "2004-01-02", "2003-12-31"},
		{"Jan  3", "2004-12-31", "2004-01-03"}, // a whole year in one file
	} {
		written, err := time.Parse(time.DateOnly, c.written)
		if err != nil {
			t.Fatal(err)
		}
		_, stats, err := read(t, ArchiveOptions{Time: yearless}, write(t, "a", gz(t, []byte("garbage\n"+c.first+"\n"), written)))
		if err != nil {
			t.Fatal(err)
		}
		if got := stats.Files[0].Start.Format(time.DateOnly); got != c.want {
			t.Errorf("%s in a file of %s: %s, want %s", c.first, c.written, got, c.want)
		}
	}
}

func TestOverlapLength(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"abc", "", 0}, {"", "abc", 0}, {"abc", "bcd", 2}, {"abc", "abc", 3}, {"abc", "xyz", 0},
		{"aab", "aabaab", 3}, {"xaaa", "aa", 2}, {"abab", "abac", 2}, {"xabc", "b", 0}, {"xabcab", "abc", 2},
	} {
		if got := overlap(hashes(c.a), hashes(c.b)); got != c.want {
			t.Errorf("the end of %q and the beginning of %q share %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func hashes(s string) (h []hash) {
	for _, c := range s {
		h = append(h, hash(c))
	}
	return h
}
