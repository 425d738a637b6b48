package firewall_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/postmoat/postmoat/pkg/firewall"
)

// TestLock uses a second process: the first dies with the lock held.
func TestLock(t *testing.T) {
	owner := lockOwner()
	folder := t.TempDir()
	line, end := lockElsewhere(t, nil, folder, owner)
	if line != "held" {
		t.Fatalf("the other process says %q", line)
	}
	for _, o := range []string{owner, ""} {
		_, err := firewall.TakeLock(folder, o, "flush")
		if !errors.Is(err, firewall.ErrBusy) || !strings.Contains(err.Error(), "(run)") || firewall.Hint(err) == "" {
			t.Errorf("owner %q: err = %v, want ErrBusy that names the holder", o, err)
		}
	}
	end()

	lock, err := firewall.TakeLock(folder, owner, "flush")
	if err != nil {
		t.Fatalf("after its end: %v", err)
	}
	if _, err := firewall.TakeLock(folder, owner, "run"); !errors.Is(err, firewall.ErrBusy) {
		t.Errorf("err = %v, want ErrBusy", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if lock, err = firewall.TakeLock(folder, owner, "run"); err != nil {
		t.Fatalf("after release: %v", err)
	}
	lock.Release()
}

// TestLockOfSystem: one firewall has one owner, whatever the state folder.
func TestLockOfSystem(t *testing.T) {
	if runtime.GOOS != "linux" && os.Geteuid() != 0 {
		t.Skip("only root owns a firewall here")
	}
	owner := lockOwner()
	line, end := lockElsewhere(t, nil, t.TempDir(), owner)
	if line != "held" {
		t.Fatalf("the other process says %q", line)
	}
	here := t.TempDir()
	_, err := firewall.TakeLock(here, owner, "run")
	if !errors.Is(err, firewall.ErrBusy) || !strings.Contains(err.Error(), "process ") || firewall.Hint(err) == "" {
		t.Errorf("err = %v, want ErrBusy that names the process", err)
	}
	for _, other := range []string{owner + "2", ""} { // another table; a dry run
		lock, err := firewall.TakeLock(here, other, "run")
		if err != nil {
			t.Fatalf("owner %q: %v", other, err)
		}
		lock.Release()
	}
	end()
	lock, err := firewall.TakeLock(here, owner, "run")
	if err != nil {
		t.Fatalf("after its end: %v", err)
	}
	lock.Release()
}

func lockOwner() string { return fmt.Sprintf("locktest%d", os.Getpid()) }

// lockElsewhere takes the lock in another process, until end is called. line is
// what that says.
func lockElsewhere(t *testing.T, as *syscall.SysProcAttr, folder, owner string) (line string, end func()) {
	t.Helper()
	program := os.Args[0]
	if as != nil {
		program = filepath.Join(folder, "program")
	}
	other := exec.Command(program, "-test.run=^TestLockHolder$")
	other.Env = append(os.Environ(), "POSTMOAT_TEST_LOCK="+folder, "POSTMOAT_TEST_OWNER="+owner)
	other.Dir, other.SysProcAttr = folder, as
	stdin, _ := other.StdinPipe()
	stdout, _ := other.StdoutPipe()
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Errorf("the other process: %v", err)
	}
	return strings.TrimSpace(line), func() {
		stdin.Close()
		other.Wait()
	}
}

// TestLockHolder is the other process.
func TestLockHolder(t *testing.T) {
	folder := os.Getenv("POSTMOAT_TEST_LOCK")
	if folder == "" {
		return // the tests above run it
	}
	if _, err := firewall.TakeLock(folder, os.Getenv("POSTMOAT_TEST_OWNER"), "run"); err != nil {
		os.Stdout.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	os.Stdout.WriteString("held\n")
	os.Stdin.Read(make([]byte, 1))
	os.Exit(0)
}
