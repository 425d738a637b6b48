//go:build linux

// Dropper is the daemon of the tests: it has many threads, drops privileges and
// tells what each of them can still do, as JSON.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"github.com/google/nftables"
	"github.com/postmoat/postmoat/pkg/privilege"
)

// An answer is what the test reads.
type answer struct {
	Report     privilege.Report
	Error      string
	Hint       string
	Threads    []thread
	SetuidBack string // error of becoming root again
	Table      string // error of making a table of nftables
	Child      string // status of a program that was started
	Main       string // status of the first thread
}

type thread struct {
	ID     int
	Status string
	Shadow string // error of opening /etc/shadow
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		os.Stdout.WriteString(status(os.Getpid()))
		return
	}
	var o privilege.Options
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		panic(err)
	}
	json.NewEncoder(os.Stdout).Encode(run(o))
}

func run(o privilege.Options) (a answer) {
	// Half of the threads wait in Go, half of them in a system call.
	const n = 40
	threads := make([]thread, n)
	release := make(chan struct{})
	var pipe [2]int
	if err := syscall.Pipe(pipe[:]); err != nil {
		panic(err)
	}
	var started, done sync.WaitGroup
	started.Add(n)
	for i := range threads {
		done.Go(func() {
			runtime.LockOSThread()
			started.Done()
			if i%2 == 0 {
				<-release
			} else {
				for {
					if _, err := syscall.Read(pipe[0], make([]byte, 1)); err != syscall.EINTR {
						break
					}
				}
			}
			threads[i] = look()
		})
	}
	started.Wait()

	var err error
	a.Report, err = privilege.Drop(o)
	if err != nil {
		a.Error = err.Error()
		if e, ok := errors.AsType[*privilege.Error](err); ok {
			a.Hint = e.Hint
		}
	}
	close(release)
	syscall.Close(pipe[1])
	done.Wait()
	a.Threads = threads
	a.Main = status(os.Getpid())

	a.SetuidBack = fmt.Sprint(syscall.Setuid(0))
	c, err := nftables.New()
	if err == nil {
		c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "postmoat_test"})
		err = c.Flush()
	}
	a.Table = fmt.Sprint(err)
	out, err := exec.Command("/proc/self/exe", "child").Output()
	if err != nil {
		out = []byte(err.Error())
	}
	a.Child = string(out)
	return a
}

func look() thread {
	t := thread{ID: syscall.Gettid()}
	t.Status = status(t.ID)
	f, err := os.Open("/etc/shadow")
	if err == nil {
		f.Close()
	}
	t.Shadow = fmt.Sprint(err)
	return t
}

func status(tid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/status", tid))
	if err != nil {
		return err.Error()
	}
	return string(b)
}
