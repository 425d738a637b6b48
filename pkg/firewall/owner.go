//go:build unix

package firewall

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lockFile is the name of the lock inside the folder of the daemon's state.
const lockFile = "firewall.lock"

// A Lock names the one process that owns the firewall.
type Lock struct{ f *os.File }

// TakeLock makes this process the owner of the firewall, until Release or its
// end, however it ends: the lock is the kernel's (flock), what is written into
// the file only tells others who holds it. command is that of the operator:
// "run". The folder must exist. When another process is the owner the error is
// an ErrBusy that names it.
func TakeLock(folder, command string) (*Lock, error) {
	name := filepath.Join(folder, lockFile)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
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
		return nil, &Error{Backend: "firewall", Op: "take " + name, Kind: ErrBusy,
			Err:  errors.New(holder),
			Hint: "Use the commands of the running daemon, or stop it first."}
	}
	if err == nil {
		err = writeHolder(f, command)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("firewall lock %s: %w", name, err)
	}
	return &Lock{f}, nil
}

// Release gives the firewall up. The file stays: removing it would let two
// processes lock two files of the same name.
func (l *Lock) Release() error {
	return errors.Join(l.f.Truncate(0), l.f.Close())
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
