//go:build race

package pftest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// executable is what plays pfctl: a program without the race detector, built
// once beside the test binary, or that binary where there is no go tool.
func executable() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	fake := filepath.Join(filepath.Dir(self), "fakepfctl")
	if _, err := os.Stat(fake); err == nil {
		return fake, nil
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		return self, nil
	}
	cmd := exec.Command(tool, "build", "-race=false", "-o", fake, "github.com/postmoat/postmoat/pkg/firewall/pf/pftest/fakepfctl")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the fake pfctl: %w: %s", err, out)
	}
	return fake, nil
}
