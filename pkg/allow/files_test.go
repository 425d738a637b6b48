package allow

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func fileCollector(w *world, paths ...string) *Collector {
	o := w.options()
	o.Files = paths
	return New(o)
}

func TestFolderInNameOrderWithoutLeftovers(t *testing.T) {
	w := newWorld(t)
	w.write("/etc/allow/20-b", "192.0.2.2\n")
	w.write("/etc/allow/10-a", "\n192.0.2.1\n192.0.2.3\n")
	for _, name := range []string{".hidden", "a~", "#a#", "a.dpkg-old", "a.dpkg-dist", "a.rpmsave", "a.swp", "a.ucf-dist"} {
		w.write("/etc/allow/"+name, "this is not for us\n")
	}
	w.write("/etc/allow/folder/x", "nor is this\n")
	c := fileCollector(w, "/etc/allow/")
	l := w.collect(c)
	expect(t, "entries", lines(l),
		"192.0.2.1/32 file /etc/allow/10-a:2", "192.0.2.2/32 file /etc/allow/20-b:1", "192.0.2.3/32 file /etc/allow/10-a:3")
	expect(t, "problems", problems(l))
}

func TestDefaultFolderMayBeAbsentOrEmpty(t *testing.T) {
	w := newWorld(t)
	c := fileCollector(w, DefaultFolder)
	expect(t, "absent", problems(w.collect(c)))
	w.write(DefaultFolder+"/x", "192.0.2.1\n")
	w.pass(time.Second)
	expect(t, "made", lines(w.refresh(c)), "192.0.2.1/32 file /etc/postmoat/allow.d/x:1")
	w.remove(DefaultFolder)
	w.pass(time.Second)
	l := w.refresh(c)
	expect(t, "taken away", append(lines(l), problems(l)...))
}

func TestEmptyNamedFolderIsNoProblem(t *testing.T) {
	w := newWorld(t)
	w.write("/etc/allow/.keep", "")
	c := fileCollector(w, "/etc/allow")
	expect(t, "empty", problems(w.collect(c)))
	w.remove("/etc/allow")
	w.pass(time.Second)
	expectOne(t, w.refresh(c), Alarm, "/etc/allow", "no such file", "last good content")
}

func TestNamedFileThatNeverWas(t *testing.T) {
	w := newWorld(t)
	c := fileCollector(w, "/etc/allow")
	l := w.collect(c)
	expectOne(t, l, BanNothing, "/etc/allow: no such file", "take it out of allow.files", "no ban is made")
	since := l.Problems()[0].Since
	if since != w.now.Unix() {
		t.Fatalf("since %d", since)
	}
	w.pass(5 * time.Second)
	if l = w.refresh(c); l.Problems()[0].Since != since {
		t.Fatal("the problem is not as old as it is")
	}
	w.write("/etc/allow", "192.0.2.1\n")
	w.pass(time.Second)
	l = w.refresh(c)
	expect(t, "made", append(lines(l), problems(l)...), "192.0.2.1/32 file /etc/allow:1")
}

func TestRemovedFileKeepsLastGood(t *testing.T) {
	w := newWorld(t)
	w.write("/etc/allow", "192.0.2.1\n")
	c := fileCollector(w, "/etc/allow")
	w.collect(c)
	w.remove("/etc/allow")
	for range 3 {
		w.pass(time.Hour)
		l := w.refresh(c)
		expect(t, "entries", lines(l), "192.0.2.1/32 file /etc/allow:1")
		expectOne(t, l, Alarm, "/etc/allow: no such file", "last good content")
	}
}

func TestBrokenLinesKeepLastGoodAndComeAllAtOnce(t *testing.T) {
	w := newWorld(t)
	w.write("/etc/allow", "192.0.2.1\n192.0.2.2\n")
	c := fileCollector(w, "/etc/allow")
	w.collect(c)
	w.write("/etc/allow", "192.0.2.7/24\n192.0.2.3\nfoo bar\n")
	w.pass(time.Second)
	l := w.refresh(c)
	expect(t, "entries", lines(l), "192.0.2.1/32 file /etc/allow:1", "192.0.2.2/32 file /etc/allow:2")
	if got := l.Problems(); len(got) != 2 || got[0].Origin != "/etc/allow:1" || got[1].Origin != "/etc/allow:3" || l.NoWidening() {
		t.Fatalf("problems %q", problems(l))
	}
	w.write("/etc/allow", "192.0.2.0/24\n")
	w.pass(time.Second)
	w.refresh(c)
	w.pass(time.Second)
	l = w.refresh(c)
	expect(t, "mended", append(lines(l), problems(l)...), "192.0.2.0/24 file /etc/allow:1")
}

func TestNeverGoodFileBansNothingButItsGoodLinesCount(t *testing.T) {
	w := newWorld(t)
	w.write("/etc/allow", "192.0.2.1\n192.0.2.300\n")
	l := w.collect(fileCollector(w, "/etc/allow"))
	expect(t, "entries", lines(l), "192.0.2.1/32 file /etc/allow:1")
	expectOne(t, l, BanNothing, "/etc/allow:2", "192.0.2.300", "no ban is made")
}

func TestManyBrokenLinesAreCounted(t *testing.T) {
	w := newWorld(t)
	w.write("/etc/allow", strings.Repeat("x y\n", 100))
	l := w.collect(fileCollector(w, "/etc/allow"))
	if len(l.Problems()) != maxBroken+1 || !strings.Contains(strings.Join(problems(l), "\n"), "80 more lines") {
		t.Fatalf("problems %q", problems(l))
	}
}

// Growing is taken at once, shrinking at the second look that finds the same.
func TestAFileThatIsBeingWrittenDoesNotShrink(t *testing.T) {
	w := newWorld(t)
	w.write("/etc/allow", "192.0.2.1\n192.0.2.20\n")
	c := fileCollector(w, "/etc/allow")
	w.collect(c)
	w.write("/etc/allow", "192.0.2.1\n192.0.2.2") // half of it
	w.pass(time.Second)
	expect(t, "half", lines(w.refresh(c)),
		"192.0.2.1/32 file /etc/allow:1", "192.0.2.2/32 file /etc/allow:2", "192.0.2.20/32 file /etc/allow:2")
	w.write("/etc/allow", "192.0.2.1\n192.0.2.20\n192.0.2.3\n")
	w.pass(time.Second)
	expect(t, "whole", lines(w.refresh(c)),
		"192.0.2.1/32 file /etc/allow:1", "192.0.2.3/32 file /etc/allow:3", "192.0.2.20/32 file /etc/allow:2")
	w.write("/etc/allow", "192.0.2.3\n")
	w.pass(time.Second)
	if got := len(lines(w.refresh(c))); got != 4 { // .3 stands on two lines for a moment
		t.Fatalf("%d entries after the first look", got)
	}
	w.pass(time.Second)
	expect(t, "shorter", lines(w.refresh(c)), "192.0.2.3/32 file /etc/allow:1")
}

func TestFileTakenOutOfAFolderGoes(t *testing.T) {
	w := newWorld(t)
	w.write("/etc/allow/a", "192.0.2.1\n")
	w.write("/etc/allow/b", "192.0.2.2\n")
	c := fileCollector(w, "/etc/allow")
	w.collect(c)
	w.remove("/etc/allow/b")
	w.pass(time.Second)
	if got := len(lines(w.refresh(c))); got != 2 {
		t.Fatalf("%d entries after the first look", got)
	}
	w.pass(time.Second)
	l := w.refresh(c)
	expect(t, "second look", append(lines(l), problems(l)...), "192.0.2.1/32 file /etc/allow/a:1")
}

func TestFolderThatGoesAwayKeepsLastGood(t *testing.T) {
	w := newWorld(t)
	w.write("/etc/allow/a", "192.0.2.1\n")
	c := fileCollector(w, "/etc/allow")
	w.collect(c)
	w.remove("/etc/allow")
	for range 3 {
		w.pass(time.Second)
		l := w.refresh(c)
		expect(t, "entries", lines(l), "192.0.2.1/32 file /etc/allow/a:1")
		expectOne(t, l, Alarm, "/etc/allow: no such file")
	}
}

func TestOddFilesAreRefusedWithoutHanging(t *testing.T) {
	w := newWorld(t)
	if err := syscall.Mkfifo(filepath.Join(w.root, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	expectOne(t, w.collect(fileCollector(w, "/fifo")), BanNothing, "not a regular file")

	w.write("/large", strings.Repeat("#", maxFileBytes+1))
	expectOne(t, w.collect(fileCollector(w, "/large")), BanNothing, "too large")

	w.write("/dir/a", "192.0.2.1\n")
	if err := os.Symlink("/nowhere/at/all", filepath.Join(w.root, "dir/b")); err != nil {
		t.Fatal(err)
	}
	l := w.collect(fileCollector(w, "/dir"))
	expectOne(t, l, BanNothing, "/dir/b: no such file")
	expect(t, "the rest counts", lines(l), "192.0.2.1/32 file /dir/a:1")
}

func TestFolderWithTooManyFiles(t *testing.T) {
	w := newWorld(t)
	for i := range maxFolder + 1 {
		w.write(fmt.Sprintf("/many/%03d", i), "192.0.2.1\n")
	}
	expectOne(t, w.collect(fileCollector(w, "/many")), BanNothing, "more than 256 files")
}

func TestUnchangedFilesAreNotReadAgain(t *testing.T) {
	w := newWorld(t)
	w.write("/etc/allow", "192.0.2.1\n")
	c := fileCollector(w, "/etc/allow")
	if err := os.Chtimes(filepath.Join(w.root, "/etc/allow"), w.now, w.now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	first := w.collect(c)
	w.pass(time.Second)
	if _, same := c.files.look(); !same {
		t.Fatal("a file that did not change was read again")
	}
	if l := w.refresh(c); l != first {
		t.Fatal("a list like the one before was made")
	}
}
