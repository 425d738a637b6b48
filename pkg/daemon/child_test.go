package daemon_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/config"
	"github.com/postmoat/postmoat/pkg/daemon"
	"github.com/postmoat/postmoat/pkg/engine"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/memory"
	"github.com/postmoat/postmoat/pkg/rule"
	"github.com/postmoat/postmoat/pkg/source"
	builtin "github.com/postmoat/postmoat/rules"
)

// childFolder names, in the environment, the folder in which this test binary
// is to be a daemon: a process of its own that can be killed.
const childFolder = "POSTMOAT_TEST_DAEMON"

func TestMain(m *testing.M) {
	if folder := os.Getenv(childFolder); folder != "" {
		if err := beDaemon(folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// coreOptions are the shipped rules and the default configuration, with bans
// short enough to end and come back within a test's log.
func coreOptions() (engine.Options, error) {
	cfg := config.Default()
	specs, err := config.LoadRules([]string{config.Builtin}, builtin.FS)
	if err != nil {
		return engine.Options{}, err
	}
	var names []string
	for _, w := range cfg.Windows {
		names = append(names, w.Name)
	}
	rules, err := rule.Compile(specs, names)
	return engine.Options{
		Rules: rules, Windows: cfg.Windows, Clients: cfg.Clients,
		Ban: ban.Options{
			Time: 120, Max: cfg.Ban.Max, Memory: cfg.Ban.Memory, Parole: cfg.Ban.Parole,
			Cover4: cfg.Cover4, Cover6: cfg.Cover6, Budget: cfg.Budget,
		},
		AddressesPerMinute: cfg.Breaker.AddressesPerMinute, KnownGood: cfg.Breaker.KnownGood,
	}, err
}

// A clockFile is a clock that two processes share: Unix nanoseconds.
type clockFile struct{ f *os.File }

func openClock(folder string) (clockFile, error) {
	f, err := os.OpenFile(filepath.Join(folder, "clock"), os.O_RDWR|os.O_CREATE, 0o600)
	return clockFile{f}, err
}

func (c clockFile) set(t time.Time) error {
	_, err := c.f.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(t.UnixNano())), 0)
	return err
}

func (c clockFile) now() time.Time {
	var b [8]byte
	if _, err := c.f.ReadAt(b[:], 0); err != nil {
		panic(err)
	}
	return time.Unix(0, int64(binary.LittleEndian.Uint64(b[:])))
}

// A paced source notes in a clock how far it has handed its lines over, so that
// the one who writes them at a thousand times the speed of life can wait for it.
type paced struct {
	source.Source
	read clockFile
}

func (p paced) Run(ctx context.Context, from source.Position, fn func(source.Line) error) error {
	return p.Source.Run(ctx, from, func(l source.Line) error {
		if err := fn(l); err != nil {
			return err
		}
		stamp, _, _ := bytes.Cut(l.Text, []byte(" "))
		at, err := time.Parse(time.RFC3339, string(stamp))
		if err != nil {
			return nil // not all tests write such stamps, and wait
		}
		return p.read.set(at)
	})
}

// openRead is the clock of what was handed over.
func openRead(folder string) (clockFile, error) {
	f, err := os.OpenFile(filepath.Join(folder, "read"), os.O_RDWR|os.O_CREATE, 0o600)
	return clockFile{f}, err
}

// settings are those of a daemon that follows one file.
func settings(log string, clock func() time.Time) (daemon.Settings, error) {
	o, err := coreOptions()
	return daemon.Settings{
		Engine: o,
		Sources: []daemon.Source{{
			Key: "file:" + log,
			New: func(start source.Start) source.Source {
				return source.NewFile(source.FileOptions{Path: log, Start: start, Now: clock})
			},
			Location: time.UTC,
		}},
		Allow: allow.Options{Now: clock},
	}, err
}

// beDaemon is a daemon with a clock of its own whose bans go into a file.
func beDaemon(folder string) error {
	clock, err := openClock(folder)
	if err != nil {
		return err
	}
	s, err := settings(filepath.Join(folder, "mail.log"), clock.now)
	if err != nil {
		return err
	}
	read, err := openRead(folder)
	if err != nil {
		return err
	}
	file := s.Sources[0].New
	s.Sources[0].New = func(start source.Start) source.Source { return paced{file(start), read} }
	b, err := memory.New(firewall.Options{Ports: config.Default().Doors, Now: clock.now})
	if err != nil {
		return err
	}
	events, err := os.OpenFile(filepath.Join(folder, "events"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	var level slog.LevelVar
	if os.Getenv("POSTMOAT_TEST_VERBOSE") == "" {
		level.Set(slog.LevelWarn)
	}
	ready := make(chan struct{})
	d, err := daemon.New(daemon.Options{
		Settings: s, Backend: b, DryRun: true, State: filepath.Join(folder, "state"), Now: clock.now,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: &level})),
		Notify: func(n daemon.Notice, _ string) {
			if n == daemon.CaughtUp {
				close(ready)
			}
		},
	})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	heard := make(chan error, 1)
	ch := d.Subscribe(context.Background())
	go func() {
		e := json.NewEncoder(events)
		for ev := range ch {
			if ev.Type == "ban" || ev.Type == "end" || ev.Type == "lost" {
				if err := e.Encode(ev); err != nil {
					heard <- err
					return
				}
			}
		}
		heard <- nil
	}()
	go func() {
		select {
		case <-ready:
			fmt.Println("ready")
		case <-ctx.Done():
		}
	}()
	if err := d.Run(ctx); err != nil {
		return err
	}
	return <-heard
}

// A child is a daemon in a process of its own.
type child struct {
	cmd *exec.Cmd
	out *bytes.Buffer
}

// startChild starts a daemon and waits until it has caught up.
func startChild(t *testing.T, folder string) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(self), out: new(bytes.Buffer)}
	c.cmd.Env = append(os.Environ(), childFolder+"="+folder)
	c.cmd.Stderr = c.out
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		c.cmd.Wait()
	})
	if _, err := io.ReadFull(stdout, make([]byte, len("ready\n"))); err != nil {
		c.cmd.Wait()
		t.Fatalf("daemon did not start: %v\n%s", err, c.out)
	}
	return c
}

// kill is kill -9.
func (c *child) kill(t *testing.T) {
	t.Helper()
	c.cmd.Process.Kill()
	c.cmd.Wait()
	if c.out.Len() > 0 {
		t.Logf("the daemon said: %s", c.out)
	}
}

// stop lets it end as systemd would.
func (c *child) stop(t *testing.T) {
	t.Helper()
	c.cmd.Process.Signal(syscall.SIGTERM)
	if err := c.cmd.Wait(); err != nil {
		t.Fatalf("daemon: %v\n%s", err, c.out)
	}
	if c.out.Len() > 0 {
		t.Logf("the daemon said: %s", c.out)
	}
}
