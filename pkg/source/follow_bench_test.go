package source

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

const benchRest = " Nov 23 08:46:49 mx1 postfix/smtpd[14545]: NOQUEUE: reject: RCPT from unknown[192.0.2.1]: 554 5.7.1 <a@example.com>: Relay access denied\n"

// BenchmarkFollow reads what is behind: 32 MiB of lines of 150 bytes.
func BenchmarkFollow(b *testing.B) {
	path := write(b, "log", benchLog())
	size, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	lines := 0
	b.ReportAllocs()
	for b.Loop() {
		lines = 0
		f := newFollower(FileOptions{Path: path, Start: FromStart, Polling: true})
		err := f.Run(b.Context(), Position{}, func(l Line) error {
			if lines++; l.Position.File.Offset == size.Size() {
				return errCrash
			}
			return nil
		})
		if err != errCrash {
			b.Fatal(err)
		}
	}
	b.SetBytes(size.Size())
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*lines), "ns/line")
}

// BenchmarkFollowLive is told of each line by the watcher, at so many lines a
// second with one write(2) a line. The writer is a process of its own, and the
// processor's time is without it.
func BenchmarkFollowLive(b *testing.B) {
	for _, rate := range []int{1000, 5000, 100_000} {
		b.Run(fmt.Sprint(rate), func(b *testing.B) {
			path := write(b, "log", nil)
			f := newFollower(FileOptions{Path: path, Start: FromStart})
			n, total := 0, 0
			var late []time.Duration
			var used time.Duration
			for b.Loop() {
				total += 2 * rate
				ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
				f = newFollower(FileOptions{Path: path, Start: FromEnd})
				done := make(chan error)
				go func() {
					done <- f.Run(ctx, Position{}, func(l Line) error {
						at, err := strconv.ParseInt(string(l.Text[:19]), 10, 64)
						if err != nil {
							return err
						}
						late = append(late, time.Since(time.Unix(0, at)))
						if n++; n == total {
							return errCrash
						}
						return nil
					})
				}()
				for f.Status().State != Following {
					time.Sleep(time.Millisecond)
				}
				before := processorTime(b)
				cmd := exec.Command("/proc/self/exe")
				cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %s", writerVariable, rate, 2*rate, path))
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v %s", err, out)
				}
				if err := <-done; err != errCrash {
					b.Fatal(err, n)
				}
				used += processorTime(b) - before
				cancel()
			}
			slices.Sort(late)
			b.ReportMetric(float64(used.Nanoseconds())/float64(n), "cpu-ns/line")
			b.ReportMetric(float64(late[n/2].Microseconds()), "median-us")
			b.ReportMetric(float64(late[n*99/100].Microseconds()), "p99-us")
		})
	}
}

const writerVariable = "SOURCE_TEST_WRITER"

// benchWriter writes n lines, each with the time of its writing.
func benchWriter(job string) error {
	var rate, n int
	var path string
	if _, err := fmt.Sscanf(job, "%d %d %s", &rate, &n, &path); err != nil {
		return err
	}
	w, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer w.Close()
	begun := time.Now()
	var line bytes.Buffer
	for i := range n {
		for due := begun.Add(time.Duration(i) * time.Second / time.Duration(rate)); time.Now().Before(due); {
			time.Sleep(time.Until(due))
		}
		line.Reset()
		fmt.Fprintf(&line, "%d%s", time.Now().UnixNano(), benchRest)
		if _, err := w.Write(line.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkJournalRead takes apart what journalctl writes, and delivers it.
func BenchmarkJournalRead(b *testing.B) {
	var text bytes.Buffer
	const entries = 100_000
	for i := range entries {
		fmt.Fprintf(&text, "__CURSOR=s=0639a7bd6a8b4ad8a7dd3a7ee7eb3b8d;i=%x;b=8a1b;m=1;t=1;x=1\n__REALTIME_TIMESTAMP=%d\n_UID=107\n_COMM=smtpd\n_EXE=/usr/lib/postfix/sbin/smtpd\n"+
			"_SYSTEMD_SLICE=system-postfix.slice\n_SYSTEMD_UNIT=postfix@-.service\n_HOSTNAME=mx1\nSYSLOG_IDENTIFIER=postfix/smtpd\nSYSLOG_PID=7\nMESSAGE=%s\n", i, bookStart+i, benchRest)
	}
	j := newJournal(JournalOptions{Slices: []string{"system-postfix.slice"}, Users: []string{"107"}})
	var err error
	if j.trust, err = newTrust(j.o, nil); err != nil {
		b.Fatal(err)
	}
	n := 0
	j.fn = func(Line) error { n++; return nil }
	b.ReportAllocs()
	for b.Loop() {
		_ = j.read(bytes.NewReader(text.Bytes()), seekStart) // io.EOF
	}
	if n != b.N*entries {
		b.Fatalf("%d lines", n)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/line")
}
