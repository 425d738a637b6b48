package allow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	runTime   = 10 * time.Second
	runOutput = 1 << 20
)

// programFolders is where programs of the system are looked for: a fixed list,
// so that nothing depends on the environment postmoat was started with.
func programFolders() []string {
	return []string{"/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin", "/sbin", "/bin", "/opt/homebrew/sbin"}
}

// Exec runs a program of the system with an argument list (never a shell), a
// clean environment and at most 10 seconds, and gives its standard output.
// A program that is not there is exec.ErrNotFound; more than 1 MiB of output
// and an exit code other than 0 are errors, the latter with the first line the
// program wrote to standard error.
func Exec(ctx context.Context, name string, args ...string) ([]byte, error) {
	file := ""
	for _, dir := range programFolders() {
		f := filepath.Join(dir, name)
		if st, err := os.Stat(f); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			file = f
			break
		}
	}
	if file == "" {
		return nil, fmt.Errorf("run %s: %w", name, exec.ErrNotFound)
	}
	ctx, stop := context.WithTimeout(ctx, runTime)
	defer stop()
	out, complaint := limitedBuffer{left: runOutput}, limitedBuffer{left: 4096, lossy: true}
	cmd := exec.CommandContext(ctx, file, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin", "LC_ALL=C"}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = &out, &complaint
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("run %s: %w", name, ctx.Err())
	case out.over:
		return nil, fmt.Errorf("run %s: more than %d bytes of output", name, runOutput)
	case err != nil:
		line, _, _ := bytes.Cut(bytes.TrimSpace(complaint.buf.Bytes()), []byte("\n"))
		if len(line) == 0 {
			return nil, fmt.Errorf("run %s: %w", name, err)
		}
		return nil, fmt.Errorf("run %s: %w: %q", name, err, cut(string(line)))
	}
	return out.buf.Bytes(), nil
}

// limitedBuffer keeps the first bytes. After that it fails the writer, which
// ends the program, or where lossy it drops the rest.
// The buffer is not embedded: its ReadFrom would go around Write.
type limitedBuffer struct {
	buf   bytes.Buffer
	left  int
	lossy bool
	over  bool
}

var errTooMuch = errors.New("too much output")

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if len(p) > b.left {
		b.over = true
		if !b.lossy {
			return 0, errTooMuch
		}
		b.buf.Write(p[:b.left])
		b.left = 0
		return len(p), nil
	}
	b.left -= len(p)
	return b.buf.Write(p)
}

// cut bounds foreign text that goes into a message.
func cut(s string) string {
	const limit = 60
	if len(s) > limit {
		return s[:limit] + "..."
	}
	return s
}
