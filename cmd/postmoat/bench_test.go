package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/loggen"
)

// runs is how often each program runs; the medians are reported.
const runs = 7

// BenchmarkReplay runs the whole program beside grep on logs of a million
// lines, in turn, and reports the median of the ratios of their CPU times (user
// and system), and the largest resident size. x-two-cores is how many times
// faster it is with two processors, and x-two-apart how much more the machine
// gets done when two replays on one processor each run at the same time: no
// program can do better than that there, and threads of one core are not two
// cores. Lines of a million distinct clients and more are in mix b.
func BenchmarkReplay(b *testing.B) {
	if _, err := exec.LookPath("grep"); err != nil {
		b.Skip("no grep to compare with")
	}
	dir := b.TempDir()
	bin := filepath.Join(dir, "postmoat")
	build := exec.Command("go", "build", "-trimpath", "-pgo=replay.pgo", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // static, as make build does
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	for _, mix := range []string{"a", "b", "c"} {
		b.Run(mix, func(b *testing.B) {
			log := filepath.Join(dir, mix+".log")
			f, err := os.Create(log)
			if err != nil {
				b.Fatal(err)
			}
			truth, err := loggen.Write(f, loggen.Options{Mix: mix, Lines: 1_000_000, Seed: 1})
			if err != nil {
				b.Fatal(err)
			}
			if err := f.Close(); err != nil {
				b.Fatal(err)
			}
			var ratios, one, grep, wall1, wall2, apart, rss []float64
			for b.Loop() {
				for range runs {
					replay := []string{bin, "replay", "--format", "json", log}
					g := cost(b, dir, "LC_ALL=C", "grep", "-c", "postfix/smtpd", log)
					p1 := cost(b, dir, "GOMAXPROCS=1", replay...)
					p2 := cost(b, dir, "GOMAXPROCS=2", replay...)
					other := make(chan spent)
					go func() { other <- cost(b, b.TempDir(), "GOMAXPROCS=1", replay...) }()
					both := max(cost(b, dir, "GOMAXPROCS=1", replay...).wall, (<-other).wall)
					ratios = append(ratios, p1.cpu/g.cpu)
					grep, one = append(grep, g.cpu), append(one, p1.cpu)
					wall1, wall2, apart = append(wall1, p1.wall), append(wall2, p2.wall), append(apart, both)
					rss = append(rss, max(p1.rss, p2.rss))
				}
			}
			n := float64(truth.Lines)
			b.ReportMetric(median(ratios), "x-grep")
			b.ReportMetric(median(one)/n*1e9, "cpu-ns/line")
			b.ReportMetric(median(grep)/n*1e9, "grep-ns/line")
			b.ReportMetric(median(wall1)/median(wall2), "x-two-cores")
			b.ReportMetric(2*median(wall1)/median(apart), "x-two-apart")
			b.ReportMetric(slices.Max(rss)/1024, "MB-resident")
			b.ReportMetric(0, "ns/op")
		})
	}
}

type spent struct{ cpu, wall, rss float64 }

// cost runs a program with its output in a file (grep stops early when it
// knows that nobody reads).
func cost(b *testing.B, dir, env string, args ...string) spent {
	b.Helper()
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		b.Error(err)
		return spent{}
	}
	defer out.Close()
	var stderr strings.Builder
	c := exec.Command(args[0], args[1:]...)
	c.Env = append(os.Environ(), env)
	c.Stdout, c.Stderr = out, io.Writer(&stderr)
	start := time.Now()
	if err := c.Run(); err != nil {
		b.Errorf("%s: %v: %s", args[0], err, stderr.String())
		return spent{}
	}
	s := spent{wall: time.Since(start).Seconds()}
	s.cpu = (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds()
	if u, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.rss = float64(u.Maxrss) // KiB on Linux
	}
	return s
}

func median(xs []float64) float64 {
	slices.Sort(xs)
	return xs[len(xs)/2]
}
