package ledger

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// inMounts runs a test again in a process with a mount namespace of its own, and
// reports whether this is that process.
func inMounts(t *testing.T) bool {
	t.Helper()
	const env = "LEDGER_TEST_MOUNTS"
	if os.Getenv(env) != "" {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), env+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no mount namespace: %v", err)
		}
		t.Skipf("no mount namespace: %v", err)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("in a mount namespace: %v\n%s", err, out)
	}
	return false
}

// fill takes all room that is left, and returns what gives it back.
func fill(t *testing.T, dir string) (empty func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFullDisk(t *testing.T) {
	if !inMounts(t) {
		return
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatal(err)
	}
	defer syscall.Unmount(dir, 0)
	l := open(t, dir)
	all := []string{"first"}
	add(t, l, all...)
	snapshot(t, l, "first")

	empty := fill(t, dir)
	var firstErr error
	for i := 0; l.Pending() < 20; i++ { // the last page of the journal has some room yet
		record := strings.Repeat(string(rune('a'+i%26)), 300)
		all = append(all, record)
		if err := l.Append([]byte(record), i%2 == 0); err != nil {
			firstErr = err
		}
		if i > 100 {
			t.Fatalf("%d records of 300 bytes on a full disk", i)
		}
	}
	if !errors.Is(firstErr, syscall.ENOSPC) {
		t.Errorf("append: %v, want no space left", firstErr)
	}
	before := names(t, dir)
	for range 3 {
		s, err := l.Begin()
		if err == nil {
			if _, err = s.Write(make([]byte, 64<<10)); err == nil {
				err = s.Commit()
			}
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("snapshot: %v, want no space left", err)
		}
		if s != nil {
			s.Abort()
		}
		s, err = l.Begin()
		if err == nil {
			if _, err = s.Write(make([]byte, 300<<10)); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("write more than is buffered: %v, want no space left", err)
			}
			if _, again := s.Write([]byte("x")); again != err {
				t.Errorf("and again: %v", again)
			}
			if again := s.Commit(); again != err {
				t.Errorf("commit after an error: %v", again)
			}
		}
	}
	if now := names(t, dir); !slices.Equal(before, now) {
		t.Errorf("files before %q, after %q", before, now)
	}
	// A crash now, and a start on the full disk.
	other := copyFolder(t, dir)
	if err := os.Remove(filepath.Join(other, "ballast")); err != nil {
		t.Fatal(err)
	}
	f := recoverAll(t, other)
	if want := all[:len(all)-l.Pending()]; !slices.Equal(f.whole(), want) || len(f.Problems) > 0 {
		t.Errorf("a crash leaves %d records of %d, problems %q", len(f.whole()), len(want), f.Problems)
	}

	empty()
	if err := l.Append([]byte("last"), true); err != nil || l.Pending() != 0 {
		t.Fatalf("append with room again: %v, %d wait", err, l.Pending())
	}
	all = append(all, "last")
	f = recoverFrom(t, l)
	if !slices.Equal(f.whole(), all) || len(f.Problems) > 0 || f.Torn > 0 {
		t.Errorf("%d records of %d, %+v", len(f.whole()), len(all), f.Recovery)
	}
	snapshot(t, l, strings.Join(all, ","))

	defer fill(t, dir)()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if f := recoverAll(t, dir); !slices.Equal(f.whole(), all) || len(f.Problems) > 0 {
		t.Errorf("start on a full disk: %+v", f.Recovery)
	}
}

func TestReadOnly(t *testing.T) {
	if !inMounts(t) {
		return
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	defer syscall.Unmount(dir, 0)
	_, err := Open(dir, Options{})
	if want := "state folder " + dir + ": not writable: read-only file system"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// device makes the journal write into a device in the place of its file.
func device(t *testing.T, l *Ledger, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	l.journal.file.Close()
	l.journal.file = f
}

// TestSyncFails: /dev/null takes everything and cannot be synced. What the
// kernel may have thrown away is written again, elsewhere.
func TestSyncFails(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	add(t, l, "a")
	device(t, l, "/dev/null")
	if err := l.Append([]byte("b"), true); err == nil || l.Pending() != 1 {
		t.Fatalf("error %v, %d wait", err, l.Pending())
	}
	if err := l.Append([]byte("c"), false); err != nil || l.Pending() != 0 {
		t.Fatalf("error %v, %d wait", err, l.Pending())
	}
	wantNames(t, dir, "journal.0", "journal.1")
	if f := recoverFrom(t, l); !slices.Equal(f.Records, []string{"a", "b", "c"}) {
		t.Errorf("%+v", f)
	}
}

// TestTwice: a record whose sync failed, though it has reached the disk, is in
// two journals and counts once.
func TestTwice(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	add(t, l, "a", "b")
	b, err := os.ReadFile(filepath.Join(dir, "journal.0"))
	if err != nil {
		t.Fatal(err)
	}
	h := header{generation: 1, at: clock}.appendTo(nil, journalMagic)
	b = append(append(h, b[headerSize:]...), appendRecord(nil, serial{n: 3}, []byte("c"))...)
	if err := os.WriteFile(filepath.Join(dir, "journal.1"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if f := recoverFrom(t, l); !slices.Equal(f.Records, []string{"a", "b", "c"}) || len(f.Problems) > 0 {
		t.Errorf("%+v", f)
	}
	// And a name that is taken is no obstacle.
	l.last.n = 3
	device(t, l, "/dev/full")
	if err := l.Append([]byte("d"), false); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	add(t, l, "e")
	if f := recoverFrom(t, l); !slices.Equal(f.Records, []string{"a", "b", "c", "d", "e"}) {
		t.Errorf("%+v", f)
	}
}

// TestCommitFails: the folder is gone when the snapshot is to get its name.
func TestCommitFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l := open(t, dir)
	s := begin(t, l)
	if _, err := io.WriteString(s, "state"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	err := s.Commit()
	if want := "write snapshot.1: no such file or directory"; err == nil || err.Error() != want {
		t.Fatalf("error %v, want %s", err, want)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	snapshot(t, l, "the next")
	if f := recoverFrom(t, l); f.State != "the next" {
		t.Errorf("%+v", f)
	}
}
