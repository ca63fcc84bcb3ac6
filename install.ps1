# Installs codex-oauth for one user of Windows, without an administrator, and registers its Claude Code plugin. Run it again
# to upgrade.
#
#   %LOCALAPPDATA%\Programs\codex-oauth\VERSION\        command, daemon, MCP shim, and the plugin with its own copies
#   %LOCALAPPDATA%\Programs\codex-oauth\bin\            codex-oauth.cmd, which runs the newest; this folder is on PATH
#
# The program of a running process cannot be replaced, so each version has a folder of its own; folders that nobody uses any
# more are removed by the next run.
[CmdletBinding()]
param(
    # Where to install.
    [string] $Prefix = (Join-Path $env:LOCALAPPDATA 'Programs\codex-oauth'),
    # Take the programs from this folder instead of bin\ beside this script.
    [string] $From = (Join-Path $PSScriptRoot 'bin'),
    # Leave Claude Code alone.
    [switch] $NoPlugin,
    # Start the daemon at log-on (codex-oauth service install).
    [switch] $Service,
    # Take everything back; login, state and configuration stay.
    [switch] $Uninstall
)
Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'
$programs = 'codex-oauth.exe', 'codex-oauthd.exe', 'codex-oauth-mcp.exe'
$links = Join-Path $Prefix 'bin'

# A program of ours or claude, whose failure is said and not ours.
function Invoke-Said([string] $what, [scriptblock] $command) {
    $said = ''
    try {
        # Windows PowerShell turns each line on standard error into an error of its own.
        $ErrorActionPreference = 'Continue'
        $said = & $command 2>&1 | Out-String
        if ($LASTEXITCODE -eq 0) { return $true }
    } catch { $said = "$_" }
    Write-Warning "could not ${what}: $($said.Trim())"
    return $false
}

# The user's own PATH, as it is written: variables in it stay unexpanded.
function Edit-Path([scriptblock] $edit) {
    $key = [Microsoft.Win32.Registry]::CurrentUser.OpenSubKey('Environment', $true)
    try {
        $before = [string] $key.GetValue('Path', '', 'DoNotExpandEnvironmentNames')
        $after = (@($before -split ';' | Where-Object { $_ }) | & $edit) -join ';'
        if ($after -ne $before) {
            $key.SetValue('Path', $after, 'ExpandString')
            # Tells running programs, the Explorer above all, that the environment has changed.
            [Environment]::SetEnvironmentVariable('CODEX_OAUTH_INSTALL', $null, 'User')
        }
    } finally { $key.Close() }
}

function Get-Versions {
    if (-not (Test-Path $Prefix)) { return }
    Get-ChildItem $Prefix -Directory | Where-Object { Test-Path (Join-Path $_.FullName 'codex-oauthd.exe') }
}

# Removes a version unless one of its programs runs: a running one cannot be renamed away.
function Remove-Version($folder) {
    try {
        $gone = "$($folder.FullName).old"
        Rename-Item $folder.FullName $gone
        Remove-Item $gone -Recurse -Force
    } catch {
        Write-Warning "left $($folder.FullName): it is in use; run this again when the sessions that use it have ended"
    }
}

if ($Uninstall) {
    $command = Join-Path $links 'codex-oauth.cmd'
    if (Test-Path $command) {
        [void] (Invoke-Said 'end the service' { & $command service uninstall })
        if (-not (Invoke-Said 'stop the daemon' { & $command daemon stop })) { exit 1 }
    }
    if (-not $NoPlugin -and (Get-Command claude -ErrorAction SilentlyContinue)) {
        [void] (Invoke-Said 'unregister the plugin' { claude plugin uninstall codex-oauth@codex-oauth })
        [void] (Invoke-Said 'unregister the marketplace' { claude plugin marketplace remove codex-oauth })
    }
    Get-Versions | ForEach-Object { Remove-Version $_ }
    if (Test-Path $links) { Remove-Item $links -Recurse -Force }
    Edit-Path { $input | Where-Object { $_ -ne $links } }
    if ((Test-Path $Prefix) -and -not (Get-ChildItem $Prefix -Force)) { Remove-Item $Prefix }
    Write-Output "removed    $Prefix"
    Write-Output "left       login, state and configuration: $env:USERPROFILE\.claude, $env:LOCALAPPDATA\codex-oauth, $env:APPDATA\codex-oauth"
    exit 0
}

foreach ($program in $programs) {
    if (-not (Test-Path (Join-Path $From $program))) { throw "could not find $(Join-Path $From $program); use -From" }
}
$said = & (Join-Path $From 'codex-oauth.exe') -V
if ($LASTEXITCODE -ne 0) { throw "could not run $(Join-Path $From 'codex-oauth.exe'): it was built for another machine" }
$version = ($said -split ' ')[-1]
$folder = Join-Path $Prefix $version

$upgrades = @(Get-Versions).Count -gt 0

# Whole under another name before it has its own. One of the same version that is in use stays as it is.
$new = "$folder.new"
if (Test-Path $new) { Remove-Item $new -Recurse -Force }
[void] (New-Item $new -ItemType Directory -Force)
foreach ($program in $programs) { Copy-Item (Join-Path $From $program) $new }
if (-not $NoPlugin) {
    foreach ($part in '.claude-plugin', 'plugin') {
        Copy-Item (Join-Path $PSScriptRoot $part) (Join-Path $new "share\$part") -Recurse
    }
    # Claude Code starts bin\codex-oauth-mcp, which Windows completes; the daemon is found beside it.
    foreach ($program in $programs) { Copy-Item (Join-Path $From $program) (Join-Path $new 'share\plugin\bin') }
}
if (Test-Path $folder) {
    try {
        $old = "$folder.old"
        if (Test-Path $old) { Remove-Item $old -Recurse -Force }
        Rename-Item $folder $old
        Remove-Item $old -Recurse -Force
    } catch {
        Remove-Item $new -Recurse -Force
        throw "could not replace ${folder}: it is in use; close the sessions that use it, or run: codex-oauth daemon stop"
    }
}
Rename-Item $new $folder
[void] (New-Item $links -ItemType Directory -Force)
Set-Content (Join-Path $links 'codex-oauth.cmd') "@`"%~dp0..\$version\codex-oauth.exe`" %*" -Encoding Ascii
Edit-Path { @($input | Where-Object { $_ -ne $links }) + $links }
Write-Output "installed  codex-oauth $version in $folder"

$registered = 'not in Claude Code'
if (-not $NoPlugin) {
    $share = Join-Path $folder 'share'
    $registered = "later: claude plugin marketplace add `"$share`"; claude plugin install codex-oauth@codex-oauth"
    if (Get-Command claude -ErrorAction SilentlyContinue) {
        # A marketplace of this name in the folder of the version before would stay there. The first time there is none.
        $null = Invoke-Said 'forget the marketplace of the version before' { claude plugin marketplace remove codex-oauth } 3> $null
        if ((Invoke-Said 'add the marketplace' { claude plugin marketplace add $share }) -and
            (Invoke-Said 'install the plugin' { claude plugin install codex-oauth@codex-oauth })) {
            $registered = 'registered in Claude Code; new sessions have it'
        }
    }
}
Write-Output "plugin     $registered"
# Behind a proxy, the shell knows it and the daemon would not; what is said on purpose stays.
& (Join-Path $folder 'codex-oauth.exe') config import --keep
if ($Service) {
    # A service that cannot be had is said, and is no reason why an install fails: the daemon is started without one.
    [void] (Invoke-Said 'install the service' { & (Join-Path $folder 'codex-oauth.exe') service install })
}
Get-Versions | Where-Object { $_.FullName -ne $folder } | ForEach-Object { Remove-Version $_ }
Write-Output "command    codex-oauth ($links is on PATH of new terminals)"
if ($upgrades) {
    Write-Output 'next       nothing: new sessions are of this version, and the daemon hands over to it at its next use'
} else {
    Write-Output 'next       codex-oauth login'
}
