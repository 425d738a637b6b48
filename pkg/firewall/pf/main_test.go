package pf

import (
	"testing"

	"github.com/postmoat/postmoat/pkg/firewall/pf/pftest"
)

func TestMain(m *testing.M) {
	pftest.Main()
	m.Run()
}
