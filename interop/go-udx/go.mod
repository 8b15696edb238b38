module gapless.invalid/interop/go-udx

go 1.23

require gapless.invalid/interop/peer v0.0.0

replace gapless.invalid/interop/peer => ../go-peer
