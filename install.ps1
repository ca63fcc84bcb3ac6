# Installs codex-oauth for one user of Windows, without an administrator, and registers its Claude Code plugin. Run it again
# to upgrade; `codex-oauth uninstall` takes everything back. All of it is done by the release's own program: see
# bin\codex-oauth.exe install --help.
[CmdletBinding()]
param(
    # Where to install, instead of %LOCALAPPDATA%\Programs\codex-oauth.
    [string] $Prefix,
    # Leave Claude Code alone.
    [switch] $NoPlugin,
    # Start the daemon at log-on (codex-oauth service install).
    [switch] $Service
)
$options = @()
# Windows PowerShell does not escape a backslash before the quotes that it puts around a name with spaces.
if ($Prefix) { $options += '--prefix', $Prefix.TrimEnd('\') }
if ($NoPlugin) { $options += '--no-plugin' }
if ($Service) { $options += '--service' }
# A program that cannot be started ends the script; one that says something on its error output does not.
try { & (Join-Path $PSScriptRoot 'bin\codex-oauth.exe') install @options } catch { throw }
exit $LASTEXITCODE
