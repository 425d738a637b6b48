package source

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/nxadm/tail/watch"
	"gopkg.in/tomb.v1"
)

// growth tells when an open file grows. It is the watcher of nxadm/tail, which
// may only hasten a look at the file, never decide what is read: a signal that
// is lost or comes twice (issues 72, 74 and 85 there) costs time, no line.
//
// What is done because of how it works:
//   - It ends the process when it cannot make an inotify instance, and when
//     stat(2) of what it watches says anything but "not there". So an instance
//     is made first to try, and what is watched is /proc/self/fd/N, whose stat
//     is that of a file that is open; but a network file system may answer
//     anything, and has no inotify worth the name.
//   - Watches are kept by name, one a name in the whole process, and are taken
//     down behind the caller's back. So stop waits for that before the
//     descriptor, and with it the name, may be used again.
//   - A watch that the kernel refuses leaves a channel behind that nobody reads,
//     and the next event of that name stops all watching in the process. So it is
//     tried at the kernel first; and where watching has stopped all the same, the
//     caller does not wait for it: see errStuck.
type growth struct {
	tomb    tomb.Tomb
	name    string
	changes *watch.FileChanges
	drain   func(time.Duration) bool
}

// settle is how long the watcher may take to begin, and to end.
const settle = 5 * time.Second

func newGrowth(f *os.File) (*growth, error) {
	g := &growth{name: fmt.Sprintf("/proc/self/fd/%d", f.Fd())}
	if err := watchable(f, g.name); err != nil {
		return nil, err
	}
	info, err := os.Stat(g.name)
	if err != nil {
		return nil, err
	}
	own, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !os.SameFile(info, own) {
		return nil, fmt.Errorf("%s is another file", g.name)
	}
	begun := make(chan error, 1)
	go func() {
		var err error
		g.changes, err = watch.NewInotifyFileWatcher(g.name).ChangeEvents(&g.tomb, own.Size())
		begun <- err
	}()
	timer := time.NewTimer(settle)
	defer timer.Stop()
	select {
	case err := <-begun:
		if err != nil {
			return nil, err
		}
	case <-timer.C:
		g.tomb.Kill(nil) // should it begin after all
		return nil, errStuck
	}
	events := watch.Events(g.name) // nil: it has ended already
	g.drain = func(limit time.Duration) bool {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		for events != nil {
			select {
			case _, open := <-events:
				if !open {
					return true
				}
			case <-timer.C:
				return false
			}
		}
		return true
	}
	return g, nil
}

// stop ends the watching. false: the watcher does not end, and the descriptor
// must stay open.
func (g *growth) stop() bool {
	g.tomb.Kill(nil)
	return g.drain(settle)
}

func (g *growth) more() <-chan bool {
	if g == nil {
		return nil
	}
	return g.changes.Modified
}

func (g *growth) emptied() <-chan bool {
	if g == nil {
		return nil
	}
	return g.changes.Truncated
}

func (g *growth) gone() <-chan bool {
	if g == nil {
		return nil
	}
	return g.changes.Deleted
}

// Numbers of file systems that change behind the kernel's back: statfs(2).
var remote = map[int64]string{
	0x6969: "NFS", 0x517b: "SMB", 0xfe534d42: "SMB", 0xff534d42: "CIFS", 0x65735546: "FUSE",
	0x01021997: "9P", 0x5346414f: "AFS", 0x6b414653: "AFS", 0x00c36400: "Ceph", 0x73757245: "Coda",
}

// watchable says whether inotify can be had for the file of this name.
func watchable(f *os.File, name string) error {
	var fs syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &fs); err != nil {
		return err
	}
	if name, ok := remote[int64(uint32(fs.Type))]; ok {
		return fmt.Errorf("no inotify on %s", name)
	}
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC)
	if err != nil {
		return err
	}
	_, err = syscall.InotifyAddWatch(fd, name, syscall.IN_MODIFY)
	return errors.Join(err, syscall.Close(fd))
}
