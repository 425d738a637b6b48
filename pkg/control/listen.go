//go:build unix

package control

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A socket is a listener that owns its path.
type socket struct {
	*net.UnixListener
	lock *os.File
}

// SocketOptions say what socket [Listen] makes.
type SocketOptions struct {
	Path  string
	Group string       // "": that of the process
	Mode  fs.FileMode  // 0: 0660
	Log   *slog.Logger // nil: nowhere
}

// Listen makes the socket. A file that a crash left is replaced; where another
// daemon listens the error says so.
//
// Until it is complete only its owner may open it, and so it stays where the
// group does not exist or may not be given, which is logged. The owner of the
// path is who holds the lock beside it, PATH.lock, which stays there. While the
// socket is made the umask of the whole process is 0177.
func Listen(o SocketOptions) (net.Listener, error) {
	path := o.Path
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Mode == 0 {
		o.Mode = 0o660
	}
	lock, err := own(path)
	if err != nil {
		return nil, err
	}
	l, err := listen(path)
	if err == nil {
		err = o.share()
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &socket{l, lock}, nil
}

// Close removes the socket.
func (s *socket) Close() error { return errors.Join(s.UnixListener.Close(), s.lock.Close()) }

// own takes the lock beside the path, so that of two daemons that start at the
// same time one finds the other.
func own(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{What: fmt.Sprintf("control socket %s: its folder does not exist", path), Hint: "create it: install -d -m 0755 " + filepath.Dir(path)}
	}
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = taken(path)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return f, nil
}

func taken(path string) error {
	return &Error{What: fmt.Sprintf("%s: another daemon listens there", path), Hint: "stop it first; a run --dry-run beside it needs a control.socket and a state of its own in the configuration"}
}

// listen makes the socket, of mode 0600.
func listen(path string) (*net.UnixListener, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("control socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return nil, &Error{What: fmt.Sprintf("control socket %s: there is a file that is no socket", path), Hint: "name another control.socket in the configuration, or move the file away"}
	default:
		// We have the lock, but a program that knows of no lock may be there.
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			c.Close()
			return nil, fmt.Errorf("control socket: %w", taken(path))
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("control socket: %w", err)
		}
	}
	old := unix.Umask(0o177)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	unix.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l, nil
}

// share opens the socket to the group.
func (o *SocketOptions) share() error {
	if o.Group != "" {
		err := o.give()
		if err != nil {
			o.Log.Warn("only its owner may use the control socket: it could not be given to the group",
				"component", "control", "path", o.Path, "group", o.Group, "err", err)
			return nil
		}
	}
	if err := os.Chmod(o.Path, o.Mode.Perm()); err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

func (o *SocketOptions) give() error {
	g, err := user.LookupGroup(o.Group)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return err
	}
	return os.Lchown(o.Path, -1, gid)
}
