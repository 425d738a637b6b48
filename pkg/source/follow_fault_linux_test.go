package source

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// A file that can't be read for a while, as on a disk or a network that fails, has
// not been emptied: its lines come once.
func TestFollowReadError(t *testing.T) {
	bubble(t, func(w *world) {
		var file *os.File
		w.opening(func(path string) (*opened, error) {
			o, err := openFile(path)
			if err == nil {
				file = o.file
			}
			return o, err
		})
		w.open()
		w.lines(20)
		w.start()
		w.pass(tick)
		// A descriptor that is open for writing only takes the place of the one
		// that is read: reading it is an error (EBADF), whatever is in the file.
		fd := int(file.Fd())
		good, err := syscall.Dup(fd)
		w.ok(err)
		defer syscall.Close(good)
		w.ok(syscall.Dup3(int(w.w.Fd()), fd, 0))
		w.lines(5)
		w.pass(tick)
		w.alarms(Unreadable)
		w.ok(syscall.Dup3(good, fd, 0))
		w.lines(5)
		w.pass(tick)
		w.want(true)
		w.alarms()
		w.stop()
	})
}

// Nor has one that can't be read at the start been replaced.
func TestFollowReadErrorAtStart(t *testing.T) {
	bubble(t, func(w *world) {
		w.open()
		w.lines(20)
		w.start()
		w.pass(tick)
		w.stop()
		var bad atomic.Bool
		bad.Store(true)
		w.opening(func(path string) (*opened, error) {
			o, err := openFile(path)
			if err == nil && bad.Load() {
				o.file.Close()
				o.file, err = os.OpenFile(path, os.O_WRONLY, 0)
				o.text = o.file
			}
			return o, err
		})
		w.start()
		w.lines(5)
		w.pass(tick)
		w.alarms(Unreadable)
		bad.Store(false)
		w.pass(tick)
		w.want(true)
		w.alarms()
		w.stop()
	})
}

// A rotated file that may not be read does not keep the log from being followed:
// that its lines are missed is said.
func TestFollowDeniedAtStart(t *testing.T) {
	bubble(t, func(w *world) {
		w.open()
		w.lines(5)
		w.start()
		w.pass(tick)
		w.stop()
		w.rename("mail.log", "mail.log.1")
		w.open()
		w.lines(5)
		w.opening(func(path string) (*opened, error) {
			if strings.HasSuffix(filepath.Base(path), ".1") {
				return nil, fs.ErrPermission
			}
			return openFile(path)
		})
		w.start()
		w.pass(tick)
		w.want(true)
		w.alarms(Gap, Gap) // the file that may not be read, and the place that is not found
		w.stop()
	})
}
