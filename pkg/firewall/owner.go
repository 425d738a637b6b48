//go:build unix

package firewall

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lockFile is the name of the lock inside the folder of the daemon's state.
const lockFile = "firewall.lock"

// A Lock names the one process that owns the firewall.
type Lock struct {
	file   *os.File
	system io.Closer // see guard; nil for one who does not touch the firewall
}

// TakeLock makes this process the owner of a state folder, and of what is named
// owner in the firewall, until Release or its end, however it ends: the locks
// are the kernel's, what is written into the file only tells others who holds
// it. command is that of the operator: "run". The folder must exist. owner is ""
// for a process that only looks at the firewall. When another process is the
// owner the error is an ErrBusy that names it.
func TakeLock(folder, owner, command string) (*Lock, error) {
	f, err := lockFileNamed(filepath.Join(folder, lockFile), command)
	if err != nil {
		return nil, err
	}
	if owner == "" {
		return &Lock{file: f}, nil
	}
	system, err := guard(owner, command)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Lock{f, system}, nil
}

// lockFileNamed locks a file, which stays: removing it would let two processes
// lock two files of the same name.
func lockFileNamed(name, command string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, fmt.Errorf("firewall lock: %w", err)
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		holder, _ := readHolder(f)
		f.Close()
		return nil, busy("take "+name, holder)
	}
	if err == nil {
		err = writeHolder(f, command)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("firewall lock %s: %w", name, err)
	}
	return f, nil
}

func busy(op, holder string) error {
	return &Error{Backend: "firewall", Op: op, Kind: ErrBusy,
		Err:  errors.New(holder),
		Hint: "Use the commands of the running daemon, or stop it first."}
}

// Release gives the firewall up.
func (l *Lock) Release() error {
	err := errors.Join(l.file.Truncate(0), l.file.Close())
	if l.system != nil {
		err = errors.Join(err, l.system.Close())
	}
	return err
}

func writeHolder(f *os.File, command string) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendf(nil, "%d %s\n", os.Getpid(), command), 0)
	return err
}

// readHolder is what the holder wrote: "process 4711 (run)".
func readHolder(f *os.File) (string, error) {
	b := make([]byte, 128)
	n, err := f.ReadAt(b, 0)
	if n == 0 {
		return "a process that has not said who it is", err
	}
	pid, command, _ := strings.Cut(strings.TrimSpace(string(b[:n])), " ")
	return fmt.Sprintf("process %s (%s)", pid, command), nil
}
